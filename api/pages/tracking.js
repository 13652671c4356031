const EVERY_MS = 20000;
let again = EVERY_MS;
async function look() {
  try {
    if (document.visibilityState === "visible") {
      const answer = await fetch(location.pathname, { cache: "no-store", credentials: "omit" });
      const wait = Number(answer.headers.get("Retry-After")) * 1000;
      again = Math.max(EVERY_MS, wait || 0);
      if (answer.status === 404 || answer.status === 410) return location.reload();
      if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const now = document.getElementById("live");
        const next = page.getElementById("live");
        if (next.dataset.forms !== now.dataset.forms) return location.replace(location.pathname);
        if (next.innerHTML !== now.innerHTML) now.replaceWith(document.adoptNode(next));
      }
    }
  } catch {
    again = Math.min(again * 2, 300000);
  }
  setTimeout(look, again);
}
setTimeout(look, again);
