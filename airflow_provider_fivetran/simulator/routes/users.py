"""Users: inviting, changing, deleting, and taking the role in the account."""

# Route modules do without postponed annotations: FastAPI reads the types of the parameters at run time.
from dataclasses import replace

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from airflow_provider_fivetran.simulator.answers import simulator_of, success
from airflow_provider_fivetran.simulator.bodies import USER, check_fields, read_body, require_fields
from airflow_provider_fivetran.simulator.people import check_role
from airflow_provider_fivetran.simulator.problems import conflict, not_found
from airflow_provider_fivetran.simulator.records import User
from airflow_provider_fivetran.simulator.shapes import shape_user

router = APIRouter()


def user_of(request: Request, user_id: str) -> User:
    users = simulator_of(request).account.users
    if user_id not in users:
        raise not_found("User", user_id)
    return users[user_id]


def rows_of(request: Request) -> list[User]:
    """All users, or those whom the request's ``active`` lets through."""
    active = request.query_params.get("active")
    users = simulator_of(request).account.users
    return [user for user in users.values() if active is None or user.active == (active == "true")]


@router.post("")
async def create_user(request: Request) -> JSONResponse:
    body = await read_body(request) or {}
    require_fields(body, "email", "given_name", "family_name")
    check_fields(body, USER)
    simulator = simulator_of(request)
    if any(user.email == body["email"] for user in simulator.account.users.values()):
        raise conflict(f"There is a user with the email '{body['email']}' already")
    if "role" in body:
        check_role(body["role"], "ACCOUNT")
    fields = {name: body[name] for name in USER if name in body}
    user_id = simulator.people.new_id("user")
    user = simulator.add_user(user_id, **{"role": "", **fields}, invited=True)
    return success(request, "User has been created", shape_user(user), 201)


@router.patch("/{user_id}")
async def change_user(request: Request, user_id: str) -> JSONResponse:
    user = user_of(request, user_id)
    body = await read_body(request) or {}
    check_fields(body, USER)
    if "role" in body:
        check_role(body["role"], "ACCOUNT")
    fields = {name: body[name] for name in USER if name in body and name != "email"}
    changed = simulator_of(request).account.users[user_id] = replace(user, **fields)
    return success(request, "User has been updated", shape_user(changed))


@router.delete("/{user_id}")
async def delete_user(request: Request, user_id: str) -> JSONResponse:
    user_of(request, user_id)
    simulator = simulator_of(request)
    del simulator.account.users[user_id]
    simulator.people.forget_user(user_id)
    return success(request, f"User with id '{user_id}' has been deleted")


@router.delete("/{user_id}/role")
async def remove_account_role(request: Request, user_id: str) -> JSONResponse:
    user = user_of(request, user_id)
    # The definition demands a role in each answer. Which one stands for none is not documented.
    simulator_of(request).account.users[user_id] = replace(user, role="")
    return success(request, "User role in account has been removed")
