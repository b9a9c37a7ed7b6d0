select
    id as customer_id,
    first_name || ' ' || last_name as customer_name,
    email,
    country_code,
    created_at
from {{ source('shop', 'customers') }}
where not coalesce(_fivetran_deleted, false)
