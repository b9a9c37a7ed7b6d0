"""The receiver of Fivetran's webhooks, which the api-server of Airflow 3.3 and newer offers under ``/fivetran``.

``signature`` and ``deliveries`` are pure; ``keyring`` knows whose secret counts, ``application`` is the web
application, and ``airflow_tables`` and ``asset_state`` are all that touch Airflow's database.
"""
