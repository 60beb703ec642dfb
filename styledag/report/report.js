"use strict";
// Without this script every weight and snapshot is shown in a row; with it, sliders choose one.
const page = document.documentElement;
page.classList.add("js");

function showStop(slider, position) {
  const input = slider.querySelector("input[type=range]");
  const stops = slider.querySelectorAll(".stop");
  const shown = Math.min(Math.max(position, 0), stops.length - 1);
  stops.forEach((stop, index) => stop.classList.toggle("current", index === shown));
  input.value = String(shown);
  input.setAttribute("aria-valuetext", stops[shown].dataset.label);
}

function wireSliders() {
  const together = document.getElementById("together");
  for (const slider of document.querySelectorAll(".slider")) {
    const input = slider.querySelector("input[type=range]");
    const kind = input.id.replace(/-\d+$/, "");
    const stops = slider.querySelector(".stops");
    for (const name of ["tabindex", "role", "aria-label"]) stops.removeAttribute(name);
    input.addEventListener("input", () => {
      const position = Number(input.value);
      const moved = together.checked
        ? [...document.querySelectorAll(`input[id^="${kind}-"]`)].map((each) => each.closest(".slider"))
        : [slider];
      for (const each of moved) showStop(each, position);
    });
    showStop(slider, Number(input.value));
  }
}

function wirePause() {
  const button = document.getElementById("pause");
  if (!button) return;
  const pause = (paused) => {
    page.classList.toggle("paused", paused);
    button.setAttribute("aria-pressed", String(paused));
  };
  button.addEventListener("click", () => pause(!page.classList.contains("paused")));
  pause(window.matchMedia("(prefers-reduced-motion: reduce)").matches);
}

// A point in the chart of scores shows images of its weight or epoch.
function wirePeek() {
  const peek = document.querySelector(".peek");
  if (!peek) return;
  const hide = () => { peek.hidden = true; };
  const show = (point) => {
    const stop = CSS.escape(point.dataset.stop);
    const first = [...document.querySelectorAll(`[data-stop="${stop}"] img:first-child`)];
    peek.replaceChildren(...first.slice(0, 4).map((image) => {
      const copy = new Image();
      copy.src = image.src;
      copy.alt = "";
      return copy;
    }));
    if (!first.length) return;
    peek.hidden = false;
    const frame = peek.parentElement.getBoundingClientRect();
    const at = point.getBoundingClientRect();
    const left = at.left + at.width / 2 - frame.left - peek.offsetWidth / 2;
    peek.style.left = `${Math.max(0, Math.min(left, frame.width - peek.offsetWidth))}px`;
    peek.style.top = `${at.top - frame.top - peek.offsetHeight - 12}px`;
  };
  for (const point of document.querySelectorAll(".scores-chart a")) {
    point.addEventListener("mouseenter", () => show(point));
    point.addEventListener("focus", () => show(point));
    point.addEventListener("mouseleave", hide);
    point.addEventListener("blur", hide);
  }
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
}

document.addEventListener("DOMContentLoaded", () => {
  wireSliders();
  wirePause();
  wirePeek();
});
