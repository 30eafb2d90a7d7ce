// The rescue page: signs the owner in for this run, saves a backup, asks for salvage.
"use strict";

let token = "";
const answer = document.getElementById("answer");
const say = (text) => (answer.textContent = text);

async function call(path, options) {
  const response = await fetch(path, options);
  if (response.ok) {
    return response;
  }
  const refusal = await response.json().catch(() => ({}));
  throw new Error(refusal.text || `the box answered ${response.status}`);
}

const signedIn = () => ({ Authorization: `Bearer ${token}` });

async function signIn(event) {
  event.preventDefault();
  const form = new FormData(event.target);
  const body = { name: form.get("name"), password: form.get("password"), device: "rescue page" };
  const headers = { "Content-Type": "application/json" };
  const response = await call("/api/login", {
    method: "POST",
    headers,
    body: JSON.stringify(body),
  });
  token = (await response.json()).token;
  document.getElementById("sign-in").hidden = true;
  document.getElementById("owner").hidden = false;
  say("Signed in.");
}

async function save() {
  say("Reading…");
  const response = await call("/api/backup", { headers: signedIn() });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = "linnet.linnet-backup";
  link.click();
  say("Saved.");
}

async function salvage() {
  if (!confirm("Messages that can't be read will be gone for good. Go on?")) {
    return;
  }
  await call("/api/salvage", { method: "POST", headers: signedIn() });
  say("The box starts again. Open it in a minute.");
}

const shown = (work) => (event) => work(event).catch((error) => say(error.message));
document.getElementById("sign-in").addEventListener("submit", shown(signIn));
document.getElementById("save").addEventListener("click", shown(save));
document.getElementById("salvage").addEventListener("click", shown(salvage));
