"""What the commands of ``airflow fivetran`` do, one module for each; imported when one is called."""
