// Source code as HTML, with classes for comments, strings, keywords and numbers. It runs when the pages are built.

const escape = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

const words = (list: string) => new Set(list.split(" "));
const KEYWORDS: Record<string, Set<string>> = {
  rs: words("as async await break const continue crate else enum fn for if impl in let loop match mod move mut pub ref return self Self static struct super trait type use where while true false"),
  ts: words("as async await break class const continue default else export extends false for from function get if import in interface let new null of private readonly return static switch this throw true try catch typeof type undefined void while with"),
  css: new Set(),
  html: new Set(),
};

/** One expression per language: each alternative is a kind of token. */
const TOKENS: Record<string, RegExp> = {
  rs: /(?<comment>\/\/.*|\/\*[\s\S]*?\*\/)|(?<string>b?r#"[\s\S]*?"#|b?"(?:\\[\s\S]|[^"\\])*"|b?'(?:\\.[^']*|[^'\\])')|(?<attribute>#!?\[[^\]]*\])|(?<number>\b\d[\w.]*\b)|(?<word>[A-Za-z_]\w*!?)/g,
  ts: /(?<comment>\/\/.*|\/\*[\s\S]*?\*\/)|(?<string>`(?:\\[\s\S]|[^`\\])*`|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|(?<number>\b\d[\w.]*\b)|(?<word>[A-Za-z_$][\w$]*)/g,
  css: /(?<comment>\/\*[\s\S]*?\*\/)|(?<string>"[^"]*")|(?<attribute>@[\w-]+|--[\w-]+)|(?<number>#[\da-fA-F]{3,8}\b|-?\d[\d.]*(?:%|[a-z]+)?)/g,
  html: /(?<comment><!--[\s\S]*?-->)|(?<string>"[^"]*")|(?<attribute><\/?[\w-]+|\/?>)/g,
};

/** Returns `code` as HTML; a language without rules is escaped only. */
export function highlight(code: string, language: string): string {
  const tokens = TOKENS[language];
  if (!tokens) return escape(code);
  let html = "";
  let end = 0;
  for (const match of code.matchAll(tokens)) {
    const [text] = match;
    html += escape(code.slice(end, match.index));
    end = match.index + text.length;
    const kind = Object.entries(match.groups ?? {}).find(([, value]) => value !== undefined)?.[0];
    const shown = kind !== "word" ? kind : KEYWORDS[language]?.has(text) ? "keyword" : /^[A-Z]/.test(text) ? "type" : undefined;
    html += shown ? `<span class="t-${shown}">${escape(text)}</span>` : escape(text);
  }
  return html + escape(code.slice(end));
}
