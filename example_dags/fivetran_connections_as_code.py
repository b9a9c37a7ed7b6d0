"""Connections kept as this file describes them: one with a password, and one that a person authorises.

Nobody has to click them together, and whoever changes this file changes the connections: each run creates what is
missing and changes what differs. The password of the shop's database is that of the Airflow connection ``shop_db``.
The CRM lets nobody in but a person: the first run makes a link for that, waits until somebody has used it, and loads
the CRM for the first time.
"""

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_fivetran.operators import FivetranConnectionOperator, FivetranOperator
from airflow_provider_fivetran.sensors import FivetranSetupSensor

with DAG(
    dag_id="fivetran_connections_as_code",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["fivetran"],
):
    shop = FivetranConnectionOperator(
        task_id="shop",
        connector_name="shop_db",
        destination_name="Warehouse",
        service="postgres",
        config={
            "host": "db.shop.example",
            "port": 5432,
            "database": "shop",
            "user": "fivetran",
            "update_method": "QUERY_BASED",
        },
        secrets={"config.password": ("shop_db", "password")},
        schedule={"time_of_day": "06:00", "days_of_week": ["MONDAY", "THURSDAY"]},
        paused=False,  # unset: it would stay paused until somebody lets it go
        # when_different="show",  # a dry run
    )

    crm = FivetranConnectionOperator(
        task_id="crm",
        connector_name="crm",
        destination_name="Warehouse",
        service="salesforce",
        schedule="manual",
        connect_card={"redirect_uri": "https://intranet.example/thank-you"},
    )

    @task
    def ask_somebody(link: str | None) -> None:
        # Whoever has the link can set the connection up: send it to one person, and not to a channel.
        print("nobody has to do anything" if link is None else "a mail is sent")

    authorised = FivetranSetupSensor(
        task_id="authorised",
        connector_id=crm.output,
        deferrable=True,
        poke_interval=timedelta(minutes=5),
        timeout=timedelta(days=1).total_seconds(),
    )
    load = FivetranOperator(
        task_id="load",
        connector_id=crm.output,
        when_paused="unpause",
        fresh_within=timedelta(hours=20),
        deferrable=True,
    )

    ask_somebody(crm.output["fivetran_connect_card"]) >> authorised >> load
