//! `#[derive(TypedEvent)]`.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{Error, Ident, LitStr, Path, Result, Type};

use crate::item::{Declared, Once};

/// Names that the protocol keeps for itself: those of `fanfare_protocol::socket::RESERVED_EVENTS`.
const RESERVED: [&str; 6] = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];

/// `library`: the crate through which the macro is used.
pub(crate) fn expand(library: TokenStream, item: TokenStream) -> TokenStream {
    derive(library, item).unwrap_or_else(Error::into_compile_error)
}

fn derive(library: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let Declared {
        attributes,
        name: ident,
        generics,
    } = Declared::parse(item, "an event")?;
    let mut name = Once::<LitStr>::new();
    let mut ack = Once::<Type>::new();
    let mut library = (library, Once::<Path>::new());
    for attribute in attributes.iter().filter(|a| a.path().is_ident("event")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("name") {
                name.set(&meta.path, meta.value()?.parse()?)
            } else if meta.path.is_ident("ack") {
                ack.set(&meta.path, meta.value()?.parse()?)
            } else if meta.path.is_ident("crate") {
                library.1.set(&meta.path, meta.value()?.parse()?)
            } else {
                Err(meta.error("an event has `name = \"…\"`, `ack = Type` and `crate = path`, and nothing else"))
            }
        })?;
    }
    let name = match name.0 {
        Some(name) => named(&name)?,
        None => name_of_type(&ident)?,
    };
    let library = library.1.0.map_or(library.0, |path| quote!(#path));
    let ack = ack
        .0
        .map_or_else(|| quote!(#library::typed::NoAck), |ack| quote!(#ack));
    let (impl_generics, arguments, clauses) = generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics #library::typed::TypedEvent for #ident #arguments #clauses {
            const NAME: &'static str = #name;
            type Ack = #ack;
        }
    })
}

fn named(name: &LitStr) -> Result<String> {
    let value = name.value();
    let wrong = if value.is_empty() {
        "the name of an event cannot be empty".to_owned()
    } else if RESERVED.contains(&value.as_str()) {
        format!("the protocol keeps the name `{value}` for itself")
    } else {
        return Ok(value);
    };
    Err(Error::new(name.span(), wrong))
}

fn name_of_type(ident: &Ident) -> Result<String> {
    let name = snake_case(&ident.to_string());
    if RESERVED.contains(&name.as_str()) {
        let (span, message): (Span, _) = (
            ident.span(),
            format!(
                "the protocol keeps the name `{name}` for itself: give the event another one, with \
                 `#[event(name = \"…\")]`"
            ),
        );
        return Err(Error::new(span, message));
    }
    Ok(name)
}

/// `UserJoined` is `user_joined`, `HTTPError` `http_error`.
fn snake_case(name: &str) -> String {
    let chars: Vec<char> = name.trim_start_matches("r#").chars().collect();
    let mut out = String::with_capacity(name.len() + 4);
    for (at, &here) in chars.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| chars.get(at));
        let after = chars.get(at + 1);
        let begins_word = here.is_uppercase()
            && before.is_some_and(|before| {
                *before != '_'
                    && (!before.is_uppercase() || after.is_some_and(|after| after.is_lowercase()))
            });
        if begins_word {
            out.push('_');
        }
        out.extend(here.to_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(item: TokenStream) -> String {
        expand(quote!(::fanfare), item).to_string()
    }

    #[test]
    fn names_of_types() {
        for (name, expected) in [
            ("Message", "message"),
            ("UserJoined", "user_joined"),
            ("HTTPError", "http_error"),
            ("GetV2Users", "get_v2_users"),
            ("Snake_Case", "snake_case"),
            ("r#Try", "try"),
            ("Übung", "übung"),
            ("X", "x"),
        ] {
            assert_eq!(snake_case(name), expected, "{name}");
        }
    }

    #[test]
    fn the_reserved_names_are_those_of_the_protocol() {
        assert_eq!(RESERVED, fanfare_protocol::socket::RESERVED_EVENTS);
    }

    #[test]
    fn what_is_said_is_taken() {
        let said = expanded(quote! {
            #[event(name = "chat message")]
            #[event(ack = (bool, Vec<u8>), crate = ::renamed)]
            struct Message<T>(T) where T: Copy;
        });
        let expected = quote! {
            #[automatically_derived]
            impl<T> ::renamed::typed::TypedEvent for Message<T> where T: Copy {
                const NAME: &'static str = "chat message";
                type Ack = (bool, Vec<u8>);
            }
        };
        assert_eq!(said, expected.to_string());
        let said = expanded(quote!(
            enum Direction {
                Left,
                Right,
            }
        ));
        assert!(
            said.contains("NAME : & 'static str = \"direction\""),
            "{said}"
        );
        assert!(said.contains(":: fanfare :: typed :: NoAck"), "{said}");
    }

    #[test]
    fn what_cannot_be() {
        for (item, expected) in [
            (
                quote!(
                    struct Connect;
                ),
                "the name `connect` for itself: give",
            ),
            (
                quote!(
                    #[event(name = "newListener")]
                    struct New;
                ),
                "keeps the name `newListener` for itself",
            ),
            (
                quote!(
                    #[event(name = "")]
                    struct New;
                ),
                "cannot be empty",
            ),
            (
                quote!(
                    #[event(name = "a", name = "b")]
                    struct New;
                ),
                "`name` is said twice",
            ),
            (
                quote!(
                    #[event(names = "a")]
                    struct New;
                ),
                "`name = \\\"…\\\"`, `ack = Type` and `crate = path`",
            ),
            (
                quote!(
                    union New {
                        a: u8,
                    }
                ),
                "an event is a struct or an enum",
            ),
        ] {
            let said = expanded(item);
            assert!(said.contains("compile_error"), "{said}");
            assert!(said.contains(expected), "{expected}: {said}");
        }
    }
}
