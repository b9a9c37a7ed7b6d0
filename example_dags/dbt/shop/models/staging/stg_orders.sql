select
    id as order_id,
    customer_id,
    status as order_status,
    cast(ordered_at at time zone 'UTC' as date) as order_date
from {{ source('shop', 'orders') }}
where not coalesce(_fivetran_deleted, false)
