import { chat } from "./chat.mjs";

chat("websocket");
