-- What came in on each day, and how that looks over a week.
with orders as (

    select
        orders.order_id,
        orders.customer_id,
        orders.order_date,
        sum(payments.amount) as paid
    from {{ ref('stg_orders') }} as orders
    inner join {{ ref('stg_payments') }} as payments using (order_id)
    group by orders.order_id, orders.customer_id, orders.order_date

),

days as (

    select
        order_date,
        count(order_id) as orders,
        count(distinct customer_id) as customers,
        sum(paid) as revenue
    from orders
    group by order_date

)

select
    order_date,
    orders,
    customers,
    revenue,
    round(revenue / orders, 2) as per_order,
    round(avg(revenue) over (order by order_date rows between 6 preceding and current row), 2) as seven_day_average
from days
