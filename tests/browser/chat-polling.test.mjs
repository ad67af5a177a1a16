import { chat } from "./chat.mjs";

chat("polling");
