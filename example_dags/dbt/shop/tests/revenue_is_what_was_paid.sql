-- No payment for an order gets lost, or counted twice, on its way into the mart.
with mart as (

    select sum(revenue) as total from {{ ref('daily_revenue') }}

),

paid as (

    select sum(amount) as total
    from {{ ref('stg_payments') }}
    where order_id in (select order_id from {{ ref('stg_orders') }})

)

select mart.total as in_mart, paid.total as paid
from mart cross join paid
where mart.total is distinct from paid.total
