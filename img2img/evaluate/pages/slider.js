"use strict";
const byId = (id) => document.getElementById(id);
const pictures = document.querySelectorAll(".gallery img");
const stage = document.querySelector(".stage");
const [under, over] = stage.querySelectorAll("img");
const picture = byId("picture"), left = byId("left"), right = byId("right"), cut = byId("cut");

function show() {
  const at = picture.selectedIndex * left.length;
  for (const [shown, menu, end] of [[under, left, byId("left-end")], [over, right, byId("right-end")]]) {
    const from = pictures[at + menu.selectedIndex];
    shown.src = from.src;
    shown.alt = from.alt;
    end.textContent = menu.value;
  }
  under.decode().then(() => {
    stage.style.aspectRatio = `${under.naturalWidth} / ${under.naturalHeight}`;
  }, () => {});
}

function move() {
  stage.style.setProperty("--cut", `${cut.value}%`);
}

function drag(event) {
  if (event.type === "pointerdown") stage.setPointerCapture(event.pointerId);
  if (!stage.hasPointerCapture(event.pointerId)) return;
  const box = stage.getBoundingClientRect();
  cut.value = 100 * (event.clientX - box.left) / box.width;
  move();
}

function step(by) {
  picture.selectedIndex = (picture.selectedIndex + by + picture.length) % picture.length;
  show();
}

for (const menu of [picture, left, right]) menu.addEventListener("change", show);
cut.addEventListener("input", move);
for (const name of ["pointerdown", "pointermove"]) stage.addEventListener(name, drag);
byId("before").addEventListener("click", () => step(-1));
byId("next").addEventListener("click", () => step(1));
byId("swap").addEventListener("click", () => {
  [left.selectedIndex, right.selectedIndex] = [right.selectedIndex, left.selectedIndex];
  show();
});
show();
move();
