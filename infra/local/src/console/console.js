// Refreshes the elements `[data-live]` of the page that is shown, and carries out actions without leaving it. Everything
// works without this script too: the page is then as old as its last loading.
"use strict";

(() => {
  // Milliseconds.
  const EVERY = 2000;
  const SOON = 300;
  const REFRESH_LIMIT = 5000;
  // Above that of the slowest action.
  const ACTION_LIMIT = 70000;
  const NOTICE_SHOWN = 8000;
  let noticeUntil = Infinity;
  let refreshing = false;
  let tag = null;
  let ahead = 0; // of the local system's clock, in milliseconds
  let acting = false;

  // Ages, in the words of `layout.rs`.
  const age = (at) => {
    const seconds = Math.trunc((Date.now() + ahead - at) / 1000);
    const amount = Math.abs(seconds);
    if (amount < 10) return "just now";
    const text =
      amount < 60 ? `${amount} s`
      : amount < 3600 ? `${Math.trunc(amount / 60)} min`
      : amount < 172800 ? `${Math.trunc(amount / 3600)} h`
      : `${Math.round(amount / 86400)} d`;
    return seconds < 0 ? `in ${text}` : `${text} ago`;
  };
  const showAges = () => {
    for (const time of document.querySelectorAll("time[datetime]")) {
      const text = age(Date.parse(time.dateTime));
      if (time.textContent !== text) time.textContent = text;
    }
  };
  const showCopyButtons = () => {
    for (const button of document.querySelectorAll("[data-copy]")) button.hidden = !navigator.clipboard;
  };

  // What the user has changed on the page is not taken back.
  const KEPT = { DETAILS: ["open"], INPUT: ["value"], BUTTON: ["hidden"] };
  const key = (node) => (node.nodeType === Node.ELEMENT_NODE && (node.id || node.dataset.key)) || null;

  // Makes `shown` equal to `wanted`. Elements that stay are the same elements afterwards, with their focus and scroll.
  const update = (shown, wanted) => {
    if (shown.nodeType !== Node.ELEMENT_NODE) {
      if (shown.nodeValue !== wanted.nodeValue) shown.nodeValue = wanted.nodeValue;
      return;
    }
    const kept = KEPT[shown.nodeName] ?? [];
    for (const { name } of [...shown.attributes]) {
      if (!wanted.hasAttribute(name) && !kept.includes(name)) shown.removeAttribute(name);
    }
    for (const { name, value } of wanted.attributes) {
      if (shown.getAttribute(name) !== value && !kept.includes(name)) shown.setAttribute(name, value);
    }
    const keys = new Set([...wanted.childNodes].map(key));
    for (const child of [...shown.children]) {
      if (key(child) && !keys.has(key(child))) child.remove();
    }
    const keyed = new Map([...shown.children].map((child) => [key(child), child]));
    let place = shown.firstChild;
    for (const child of [...wanted.childNodes]) {
      const named = key(child);
      const free = place && !key(place) && place.nodeName === child.nodeName ? place : null;
      const same = named ? keyed.get(named) : free;
      if (!same) {
        shown.insertBefore(document.importNode(child, true), place);
        continue;
      }
      if (same === place) place = place.nextSibling;
      else shown.insertBefore(same, place);
      update(same, child);
    }
    while (place) {
      const next = place.nextSibling;
      place.remove();
      place = next;
    }
  };

  // The element that gets the focus when the focused one is gone: another button of its row, else the content.
  const keepFocus = (focused, row) => {
    if (!focused || focused === document.body || focused.isConnected) return;
    const next = row?.isConnected ? row.querySelector("button") : null;
    (next ?? document.getElementById("main")).focus({ preventScroll: true });
  };
  const offline = (is) => {
    document.getElementById("offline").hidden = !is;
  };

  const show = (html, withNotice) => {
    const focused = document.activeElement;
    const row = focused?.closest(".actions");
    const page = new DOMParser().parseFromString(html, "text/html");
    ahead = Date.parse(page.documentElement.dataset.now) - Date.now();
    const live = withNotice ? "[data-live], #notice" : "[data-live]";
    const ids = (of) => [...of.querySelectorAll("main [data-live]")].map((one) => one.id).join();
    // What the page shows may have been erased, or be there by now.
    if (ids(document) !== ids(page)) update(document.getElementById("main"), page.getElementById("main"));
    for (const shown of document.querySelectorAll(live)) {
      const wanted = page.getElementById(shown.id);
      if (wanted) update(shown, wanted);
    }
    document.title = page.title;
    showAges();
    showCopyButtons();
    keepFocus(focused, row);
  };

  const refresh = async () => {
    if (document.hidden || acting || refreshing) return;
    if (Date.now() > noticeUntil) {
      document.getElementById("notice").replaceChildren();
      noticeUntil = Infinity;
    }
    refreshing = true;
    const headers = { "X-Console-Refresh": "1" };
    if (tag) headers["If-None-Match"] = tag;
    let answer, html;
    try {
      answer = await fetch(location.href, { headers, cache: "no-store", signal: AbortSignal.timeout(REFRESH_LIMIT) });
      html = answer.ok || answer.status === 404 ? await answer.text() : null;
      offline(answer.status >= 500);
    } catch {
      return offline(true);
    } finally {
      refreshing = false;
    }
    if (html === null || acting) return;
    tag = answer.headers.get("ETag");
    show(html, false);
  };

  const act = async (form) => {
    acting = true;
    const button = form.querySelector("button");
    button.setAttribute("aria-busy", "true");
    try {
      const body = new URLSearchParams(new FormData(form));
      const answer = await fetch(form.action, { method: "POST", body, signal: AbortSignal.timeout(ACTION_LIMIT) });
      if (!answer.ok && answer.status !== 404) return location.assign(answer.url);
      tag = null;
      show(await answer.text(), true);
      noticeUntil = Date.now() + NOTICE_SHOWN;
    } catch {
      offline(true);
    } finally {
      button.removeAttribute("aria-busy");
      acting = false;
      // What the action set off is a moment behind it.
      setTimeout(refresh, SOON);
    }
  };

  document.addEventListener("submit", (event) => {
    if (!event.target.matches("form[data-action]")) return;
    event.preventDefault();
    if (!acting) act(event.target);
  });
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(button.parentElement.querySelector("pre").textContent);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
  document.addEventListener("visibilitychange", refresh);
  ahead = Date.parse(document.documentElement.dataset.now) - Date.now();
  showAges();
  showCopyButtons();
  setInterval(refresh, EVERY);
  setInterval(showAges, 1000);
})();
