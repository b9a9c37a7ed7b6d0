"""What Fivetran's answers mean: pure functions and values. No sockets, clocks, sleeps or Airflow in here."""
