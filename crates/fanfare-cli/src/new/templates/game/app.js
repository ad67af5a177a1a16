import { io } from "/socket.io.esm.min.js";

const status = document.querySelector("#status");
const board = document.querySelector("#board");
const canvas = board.getContext("2d");
const RADIUS = 18;

const socket = io();
socket.on("connect", () => { status.textContent = "Connected"; });
socket.on("disconnect", () => { status.textContent = "Connecting …"; });

// Two steps of the server: dots are drawn between them, so that they move evenly.
let before = {};
let after = {};
let arrived = 0;
const STEP = 50; // milliseconds

socket.on("dots", (dots) => {
  before = after;
  after = dots;
  arrived = performance.now();
  const players = Object.keys(dots).length;
  status.textContent = players === 1 ? "You are alone here" : `${players} players`;
});

function draw(now) {
  const part = Math.min((now - arrived) / STEP, 1);
  canvas.clearRect(0, 0, board.width, board.height);
  for (const [id, dot] of Object.entries(after)) {
    const from = before[id] ?? dot;
    const x = (from.x + (dot.x - from.x) * part) * board.width;
    const y = (from.y + (dot.y - from.y) * part) * board.height;
    canvas.beginPath();
    canvas.arc(x, y, RADIUS, 0, 2 * Math.PI);
    canvas.fillStyle = `hsl(${dot.hue} 65% 55%)`;
    canvas.fill();
    if (id === socket.id) {
      canvas.beginPath();
      canvas.arc(x, y, RADIUS + 8, 0, 2 * Math.PI);
      canvas.lineWidth = 4;
      canvas.strokeStyle = getComputedStyle(board).color;
      canvas.stroke();
    }
  }
  requestAnimationFrame(draw);
}
requestAnimationFrame(draw);

let last = "";
function steer(x, y) {
  const direction = `${x} ${y}`;
  if (direction !== last) socket.emit("steer", { x, y });
  last = direction;
}

const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const held = new Set();
function steerByKeys(event) {
  if (!KEYS[event.key]) return;
  event.preventDefault();
  if (event.type === "keydown") held.add(event.key);
  else held.delete(event.key);
  const sum = (axis) => [...held].reduce((total, key) => total + KEYS[key][axis], 0);
  steer(sum(0), sum(1));
}
addEventListener("keydown", steerByKeys);
addEventListener("keyup", steerByKeys);
addEventListener("blur", () => { held.clear(); steer(0, 0); });

function steerByPointer(event) {
  if (event.buttons === 0) return;
  const own = after[socket.id];
  if (!own) return;
  const box = board.getBoundingClientRect();
  const x = (event.clientX - box.left) / box.width - own.x;
  const y = (event.clientY - box.top) / box.height - own.y;
  const way = Math.hypot(x, y);
  if (way > 0.02) steer(Number((x / way).toFixed(2)), Number((y / way).toFixed(2)));
}
board.addEventListener("pointerdown", steerByPointer);
board.addEventListener("pointermove", steerByPointer);
addEventListener("pointerup", () => steer(0, 0));
addEventListener("pointercancel", () => steer(0, 0));
