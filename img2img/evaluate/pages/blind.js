"use strict";
const byId = (id) => document.getElementById(id);
const study = JSON.parse(byId("study").textContent);
const place = `img2img ${study.study}`;
const figures = { input: byId("input"), left: byId("left"), right: byId("right") };
const chance = () => [...crypto.getRandomValues(new Uint8Array(8))].map((b) => b.toString(16).padStart(2, "0")).join("");
let state = kept() ?? { session: chance(), voter: "", votes: [] };
let asked = 0, open = false;

function kept() {
  try {
    const found = JSON.parse(localStorage.getItem(place));
    return found && Array.isArray(found.votes) ? found : null;
  } catch {
    return null;
  }
}

function keep() {
  try {
    localStorage.setItem(place, JSON.stringify(state));
  } catch {
    byId("note").textContent = "This browser keeps nothing: save the votes before you close the page.";
  }
}

function only(...shown) {
  for (const id of ["start", "trial", "answers", "feedback", "end"]) byId(id).hidden = !shown.includes(id);
}

function cover(hidden) {
  for (const side of [figures.left, figures.right]) side.style.visibility = hidden ? "hidden" : "visible";
}

async function ask() {
  const at = state.votes.length;
  open = false;
  byId("save").hidden = at === 0;
  if (at >= study.trials.length) {
    only("end");
    byId("done").focus();
    return;
  }
  const trial = study.trials[at];
  const practice = at < study.practice;
  byId("count").textContent = practice
    ? `practice ${at + 1} of ${study.practice}`
    : `${at - study.practice + 1} of ${study.trials.length - study.practice}`;
  cover(true);
  only("trial");
  for (const [side, image] of Object.entries(figures)) if (trial[side] !== undefined) image.src = study.pictures[trial[side]];
  await Promise.all([figures.left.decode(), figures.right.decode()].map((ready) => ready.catch(() => {})));
  cover(false);
  if (study.seconds) {
    await new Promise((then) => requestAnimationFrame(() => setTimeout(then, 1000 * study.seconds)));
    cover(true);
  }
  only("trial", "answers");
  asked = performance.now();
  open = true;
}

function answer(chosen) {
  if (!open) return;
  open = false;
  const at = state.votes.length;
  state.votes.push({ trial: at, chosen, seconds: Math.round(performance.now() - asked) / 1000 });
  keep();
  if (at >= study.practice) {
    ask();
    return;
  }
  const right = study.answers[at] === chosen;
  byId("said").textContent = right ? "Right." : `No: the real one was ${study.answers[at]}.`;
  cover(false);
  only("trial", "feedback");
  byId("on").focus();
}

function save() {
  state.voter = byId("voter").value;
  const votes = { format: 1, kind: "img2img votes", ...state, study: study.study, question: study.question,
    practice: study.practice, trials: study.trials.length, key: study.key };
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(votes, null, 1)], { type: "application/json" }));
  link.download = `votes-${study.study}-${state.session}.json`;
  link.click();
}

byId("go").addEventListener("click", ask);
byId("on").addEventListener("click", ask);
byId("vote-left").addEventListener("click", () => answer("left"));
byId("vote-right").addEventListener("click", () => answer("right"));
for (const id of ["save", "done"]) byId(id).addEventListener("click", save);
byId("voter").value = state.voter;
byId("voter").addEventListener("input", () => {
  state.voter = byId("voter").value;
  keep();
});
byId("again").addEventListener("click", () => {
  state = { session: chance(), voter: byId("voter").value, votes: [] };
  keep();
  byId("again").hidden = byId("save").hidden = true;
  only("start");
});
document.addEventListener("keydown", (event) => {
  if (event.target === byId("voter")) return;
  if (event.key === "ArrowLeft") answer("left");
  if (event.key === "ArrowRight") answer("right");
});
if (state.votes.length) {
  byId("go").textContent = `Go on after ${state.votes.length} of ${study.trials.length}`;
  byId("again").hidden = byId("save").hidden = false;
}
only("start");
