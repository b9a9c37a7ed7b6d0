"""The control endpoint: other processes set the account up, move it along, and read the truth. No key is needed."""

# Route modules do without postponed annotations: FastAPI reads the types of the parameters at run time.
from fastapi import APIRouter

router = APIRouter()
