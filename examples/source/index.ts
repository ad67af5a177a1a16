import "@web/base.css";
import "@web/code.css";
import "./style.css";
import { keepTransport } from "@web/connection.ts";
import { themeButton } from "@web/theme.ts";

themeButton();
keepTransport();
