"""Places of addresses, for whoever types one."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query

from api import examples
from api.auth.scope import Scope
from api.auth.scoped import scoped
from api.http.answers import JSONAnswer, PlacesAnswer
from api.http.problems import RETRY_AFTER_S, Problem
from api.places.geocoding import candidate_of
from api.services import Reach
from routing.addresses.geocoder import CANDIDATES, MAX_ADDRESS_CHARS, GeocoderUnavailable
from routing.addresses.matching import verdict_on
from routing.addresses.words import words_of

router = APIRouter(tags=["places"])

_DEFAULT: Final = 5

Planner = Annotated[Scope, Depends(scoped("jobs:write"))]


@router.get(
    "/v1/places",
    summary="Find an address",
    responses=examples.answers(200, "Candidates, the best first", "PlacesAnswer", examples.requests.PLACES, 400, 503),
)
async def find_places(
    services: Reach,
    scope: Planner,
    q: Annotated[str, Query(min_length=1, max_length=MAX_ADDRESS_CHARS, description="an address, or the beginning")],
    branch: Annotated[str | None, Query(description="corrected places of this branch come first")] = None,
    customer: Annotated[str | None, Query(description="of this customer before others")] = None,
    limit: Annotated[int, Query(ge=1, le=CANDIDATES, description="how many at most")] = _DEFAULT,
) -> JSONAnswer:
    """What a job with this address would be given: `status` is `found` where the first candidate would be taken.

    Each has the radius within which the address lies, and where that is known from. A public server does not want to
    be asked with each letter that is typed.
    """
    known = services.remembered.of_address(branch, customer, words_of(q)) if scope.sees(branch) else None
    if known is not None:
        return JSONAnswer(PlacesAnswer("found", [candidate_of(known)]))
    if not services.geocoder.is_there:
        return JSONAnswer(PlacesAnswer("no_geocoder", []))
    try:
        found = await services.geocoder.find(q)
    except GeocoderUnavailable as error:
        raise Problem(503, "geocoder_unavailable", str(error), {"Retry-After": str(RETRY_AFTER_S)}) from error
    return JSONAnswer(PlacesAnswer(verdict_on(found)[0], found[:limit]))
