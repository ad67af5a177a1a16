//! Parts of a chapter: links, programs, prose.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// Parser with the extensions that mdBook enables.
pub(crate) fn events(text: &str) -> impl Iterator<Item = (Event<'_>, Range<usize>)> {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_HEADING_ATTRIBUTES
        | Options::ENABLE_GFM
        | Options::ENABLE_DEFINITION_LIST;
    Parser::new_ext(text, options).into_offset_iter()
}

/// Link or image.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// Address, as written.
    pub(crate) to: String,
    /// Place of the whole link in the chapter.
    pub(crate) range: Range<usize>,
    /// Whether it is an image.
    pub(crate) image: bool,
}

/// Returns the links and images of a chapter, in their order.
pub(crate) fn links(text: &str) -> Vec<Link> {
    let link = |(event, range)| {
        let (to, image) = match event {
            Event::Start(Tag::Link { dest_url, .. }) => (dest_url, false),
            Event::Start(Tag::Image { dest_url, .. }) => (dest_url, true),
            _ => return None,
        };
        Some(Link {
            to: to.to_string(),
            range,
            image,
        })
    };
    events(text).filter_map(link).collect()
}

/// Block of code: what follows the fence, and the text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) info: String,
    pub(crate) text: String,
    /// Place in the chapter.
    pub(crate) range: Range<usize>,
}

/// Returns the blocks of code of a chapter, in their order.
pub(crate) fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut inside = false;
    for (event, range) in events(text) {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                inside = true;
                let info = match kind {
                    CodeBlockKind::Fenced(info) => info.to_string(),
                    CodeBlockKind::Indented => String::new(),
                };
                blocks.push(Block {
                    info,
                    text: String::new(),
                    range,
                });
            }
            Event::End(TagEnd::CodeBlock) => inside = false,
            Event::Text(part) if inside => {
                if let Some(block) = blocks.last_mut() {
                    block.text.push_str(&part);
                }
            }
            _ => {}
        }
    }
    blocks
}

/// Returns the prose of a chapter, one line of text per line of the source: without code, addresses and HTML.
pub(crate) fn prose(text: &str) -> Vec<(usize, String)> {
    let starts: Vec<usize> = std::iter::once(0)
        .chain(text.match_indices('\n').map(|(at, _)| at + 1))
        .collect();
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut code = false;
    for (event, range) in events(text) {
        let part = match event {
            Event::Start(Tag::CodeBlock(_)) => {
                code = true;
                continue;
            }
            Event::End(TagEnd::CodeBlock) => {
                code = false;
                continue;
            }
            Event::Text(part) if !code => part.to_string(),
            Event::End(TagEnd::TableCell) => " | ".to_owned(),
            // Stands for a word, so that the text around it keeps its spaces.
            Event::Code(_) => "\u{fffc}".to_owned(),
            _ => continue,
        };
        let line = starts.partition_point(|start| *start <= range.start);
        match lines.last_mut() {
            Some((last, text)) if *last == line => text.push_str(&part),
            _ => lines.push((line, part)),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_chapter() {
        let text =
            "# Title\n\nA [link](to.md#a) and `code`.\n\n```rust\nlet a = 1;\n```\n![alt](a.png)\n";
        let found = links(text);
        assert_eq!(found[0].to, "to.md#a");
        assert_eq!(&text[found[0].range.clone()], "[link](to.md#a)");
        assert!(found[1].image);
        let found = blocks(text);
        assert_eq!(
            (found[0].info.as_str(), found[0].text.as_str()),
            ("rust", "let a = 1;\n")
        );
        let found = prose(text);
        assert_eq!(found[0], (1, "Title".to_owned()));
        assert_eq!(found[1], (3, "A link and \u{fffc}.".to_owned()));
    }
}
