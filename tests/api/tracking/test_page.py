"""The customer's page: what it says, its forms, and that it loads nothing from elsewhere."""

import base64
import hashlib
import re
from html import unescape

import httpx
import msgspec

from tests.api.conftest import Door
from tests.api.tracking.office import eta_in, link, move


def open_page(door: Door, token: str, language: str = "en", query: str = "") -> httpx.Response:
    return door.get(f"/t/{token}{query}", role=None, headers={"Accept-Language": language})


def visible(page: httpx.Response) -> str:
    """What people read."""
    body = re.sub(r"<(script|style).*?</\1>", "", page.text, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def test_the_page_says_who_comes_and_when(on_the_way: tuple[Door, str]) -> None:
    door, token = on_the_way
    eta_in(door, 20)
    page = open_page(door, token)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    said = visible(page)
    for words in (
        "Mersey Heating",
        "Amina is on the way to you",
        "Expected between 08:32 and 08:47",
        "As of 08:17",
        "Promised: Monday 2 March, 09:00 to 11:00",
        "3.5 km away",
        "This page can be opened until Monday 16 March.",
    ):
        assert words in said, said
    assert '<li class="present" aria-current="step">On the way</li>' in page.text
    assert not [each for each in ("Okafor", "van-12", "tech-77", "under the mat", "1 Strand") if each in page.text]
    assert "Amina ist unterwegs zu Ihnen" in visible(open_page(door, token, "fr;q=0.1, de-CH;q=0.9, en;q=0.5"))


def test_the_customers_language_comes_before_the_browsers(office: Door) -> None:
    token = link(office)
    hill = office.registers["customers"].records["hill"]
    office.registers["customers"].put("hill", msgspec.structs.replace(hill, language="it-CH"))
    assert "Il suo appuntamento" in visible(open_page(office, token, "de"))
    assert 'lang="it"' in open_page(office, token, "de").text


def test_the_page_loads_nothing_from_elsewhere_and_its_policy_knows_its_script(on_the_way: tuple[Door, str]) -> None:
    door, token = on_the_way
    page = open_page(door, token)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        [content] = re.findall(rf"<{tag}>(.*?)</{tag}>", page.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert not re.search(r"<(img|link|iframe|object)\b|\bon\w+=|\bstyle=|\bsrc=|https?://", page.text)
    assert 'content="noindex"' in page.text


def test_what_people_write_is_text_on_the_page(office: Door) -> None:
    evil = "</textarea><script>alert(1)</script>"
    assert office.patch("/v1/jobs/j1", json={"title": evil}).status_code == 200
    token = link(office)
    for state in ("on_site", "completed"):
        move(office, state)
    said = {"rating": 1, "comment": evil}
    assert office.post(f"/v1/track/{token}/rating", role=None, json=said).status_code == 200
    page = open_page(office, token)
    assert page.text.count("<script>") == 1
    assert evil not in page.text
    assert page.text.count("&lt;script&gt;") >= 2


def test_the_forms_work_without_a_script(office: Door) -> None:
    token = link(office)
    assert 'name="text"' in open_page(office, token).text
    sent = office.post(f"/t/{token}/messages", role=None, data={"text": "Ring\r\ntwice"})
    assert (sent.status_code, sent.headers["location"]) == (303, f"/t/{token}?said=sent")
    assert "Your message is on its way." in visible(open_page(office, token, query="?said=sent"))
    refused = office.post(f"/t/{token}/rating", role=None, data={"rating": "5"})
    assert (refused.status_code, "That was not taken" in visible(refused)) == (409, True)
    for state in ("on_site", "completed"):
        move(office, state)
    page = open_page(office, token)
    assert page.text.count('type="radio"') == 5
    assert 'name="text"' not in page.text
    rated = office.post(f"/t/{token}/rating", role=None, data={"rating": "4", "comment": "On time"})
    assert (rated.status_code, rated.headers["location"]) == (303, f"/t/{token}?said=thanks")
    page = open_page(office, token, query="?said=thanks")
    assert "Thank you for your rating." in visible(page)
    assert 'id="stars-4" value="4" required checked' in page.text
    for wrong in ({"rating": "6"}, {"rating": "x"}, {}, {"comment": "y"}):
        assert office.post(f"/t/{token}/rating", role=None, data=wrong).status_code == 400
    for raw in (b"rating=%ff%fe", b"\xff", b"&".join([b"a=b"] * 20)):
        assert office.post(f"/t/{token}/rating", role=None, content=raw).status_code == 400
    assert office.get("/v1/jobs/j1/customer-words").json()["messages"][0]["text"] == "Ring\ntwice"


def test_a_page_that_is_over_says_so_in_the_browsers_language(office: Door) -> None:
    token = link(office)
    assert office.delete("/v1/jobs/j1/tracking-link").status_code == 204
    revoked, forged = open_page(office, token, "fr"), open_page(office, "x", "fr")
    assert (revoked.status_code, forged.status_code) == (404, 404)
    assert revoked.text == forged.text
    assert "Ce lien n’est pas valable" in visible(revoked)
    token = link(office)
    office.clock.moment_ms += 15 * 86_400_000
    expired = open_page(office, token)
    assert (expired.status_code, "This link has expired" in visible(expired)) == (410, True)
    for path in ("rating", "messages"):
        assert office.post(f"/t/{token}/{path}", role=None, data={"text": "x"}).status_code == 410
