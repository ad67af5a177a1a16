import { chat } from "./chat.mjs";

chat("upgrade");
