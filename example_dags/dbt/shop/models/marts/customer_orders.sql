-- Who buys how much, and since when.
with orders as (

    select
        orders.order_id,
        orders.customer_id,
        orders.order_date,
        sum(payments.amount) as paid
    from {{ ref('stg_orders') }} as orders
    left join {{ ref('stg_payments') }} as payments using (order_id)
    group by orders.order_id, orders.customer_id, orders.order_date

)

select
    customers.customer_id,
    customers.customer_name,
    customers.country_code,
    count(orders.order_id) as orders,
    min(orders.order_date) as first_order,
    max(orders.order_date) as latest_order,
    coalesce(sum(orders.paid), 0) as lifetime_value
from {{ ref('stg_customers') }} as customers
left join orders using (customer_id)
group by customers.customer_id, customers.customer_name, customers.country_code
