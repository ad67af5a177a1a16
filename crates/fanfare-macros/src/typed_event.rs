//! `#[derive(TypedEvent)]`.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::ext::IdentExt as _;
use syn::punctuated::Punctuated;
use syn::{Error, Ident, Index, LitStr, Path, Result, Token, Type, parenthesized};

use crate::item::{Declared, Once, Shape};

/// Names of arguments.
type Names = Punctuated<Ident, Token![,]>;

/// Names that the protocol reserves: those of `fanfare_protocol::socket::RESERVED_EVENTS`.
const RESERVED: [&str; 6] = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];

/// Implements the traits of an event; `library` is the crate through which the macro is used.
pub(crate) fn expand(library: TokenStream, item: TokenStream) -> TokenStream {
    derive(library, item).unwrap_or_else(Error::into_compile_error)
}

fn derive(library: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let Declared {
        attributes,
        name: ident,
        generics,
        shape,
        has_rules,
    } = Declared::parse(item, "an event")?;
    let mut name = Once::<LitStr>::new();
    let mut ack = Once::<Type>::new();
    let mut arguments = Once::<Names>::new();
    let mut library = (library, Once::<Path>::new());
    for attribute in attributes.iter().filter(|a| a.path().is_ident("event")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("name") {
                name.set(&meta.path, meta.value()?.parse()?)
            } else if meta.path.is_ident("ack") {
                ack.set(&meta.path, meta.value()?.parse()?)
            } else if meta.path.is_ident("arguments") {
                let list;
                parenthesized!(list in meta.input);
                arguments.set(&meta.path, Names::parse_terminated(&list)?)
            } else if meta.path.is_ident("crate") {
                library.1.set(&meta.path, meta.value()?.parse()?)
            } else {
                Err(meta.error(
                    "an event has `name = \"…\"`, `ack = Type`, `arguments(…)` and `crate = path`, and nothing else",
                ))
            }
        })?;
    }
    let name = match name.0 {
        Some(name) => named(&name)?,
        None => name_of_type(&ident)?,
    };
    let library = library.1.0.map_or(library.0, |path| quote!(#path));
    let fields = argument_names(&ident, &name, shape, arguments.0)?;
    let fields = match shape {
        Shape::Named => match fields.as_slice() {
            [] => quote!(#library::typed::Arguments::WHOLE),
            [name, ..] => quote!(#library::typed::Arguments::whole(&[#name])),
        },
        Shape::Unit | Shape::Tuple(_) => {
            quote!(#library::typed::Arguments::fields(&[#(#fields),*]))
        }
    };
    // Whether a generic type has rules is only known from its attributes.
    let concrete = generics.type_params().next().is_none();
    let is_tuple = matches!(shape, Shape::Tuple(_));
    let check = if has_rules {
        quote!(#library::typed::check_rules(self, #is_tuple))
    } else if concrete {
        check_if_any(&library, &quote!(self), 0, is_tuple)
    } else {
        quote!(::core::result::Result::Ok(()))
    };
    let check_ack = match &ack.0 {
        Some(ack) if concrete => check_each(&library, ack),
        _ => quote!(::core::result::Result::Ok(())),
    };
    let ack = ack
        .0
        .map_or_else(|| quote!(#library::typed::NoAck), |ack| quote!(#ack));
    let (impl_generics, arguments, clauses) = generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics #library::typed::TypedEvent for #ident #arguments #clauses {
            const NAME: &'static str = #name;
            type Ack = #ack;
            const ARGUMENTS: #library::typed::Arguments = #fields;

            fn check(&self) -> ::core::result::Result<(), #library::typed::ArgsError> {
                #check
            }

            fn check_ack(ack: &Self::Ack) -> ::core::result::Result<(), #library::typed::ArgsError> {
                let _ = ack;
                #check_ack
            }
        }
    })
}

/// Returns the code that checks a value if its type has rules.
fn check_if_any(
    library: &TokenStream,
    value: &TokenStream,
    argument: usize,
    is_tuple: bool,
) -> TokenStream {
    quote!({
        #[allow(unused_imports)]
        use #library::typed::{ProbeNothing as _, ProbeRules as _};
        (&#library::typed::RuleProbe { value: #value, argument: #argument, is_tuple: #is_tuple }).check()
    })
}

/// Returns the code that checks an acknowledgement; the members of a tuple are its arguments.
fn check_each(library: &TokenStream, ack: &Type) -> TokenStream {
    let Type::Tuple(tuple) = ack else {
        return check_if_any(library, &quote!(ack), 0, false);
    };
    let checks = (0..tuple.elems.len()).map(|at| {
        let index = Index::from(at);
        let check = check_if_any(library, &quote!(&ack.#index), at, false);
        quote!(#check?;)
    });
    quote!(#(#checks)* ::core::result::Result::Ok(()))
}

/// Returns the name of each argument; a value that is one argument may have none.
fn argument_names(
    ident: &Ident,
    event: &str,
    shape: Shape,
    names: Option<Names>,
) -> Result<Vec<String>> {
    let count = match shape {
        Shape::Unit => 0,
        Shape::Named => 1,
        Shape::Tuple(count) => count,
    };
    let Some(names) = names else {
        return Ok(match shape {
            Shape::Tuple(1) => vec![event.to_owned()],
            Shape::Tuple(count) => (0..count).map(|at| format!("arg{at}")).collect(),
            Shape::Unit | Shape::Named => vec![],
        });
    };
    if names.len() != count {
        let plural = if count == 1 { "" } else { "s" };
        let message = format!(
            "`{ident}` has {count} argument{plural}, and {} are named",
            names.len()
        );
        let span = names.first().map_or(ident.span(), Ident::span);
        return Err(Error::new(span, message));
    }
    Ok(names.iter().map(|name| name.unraw().to_string()).collect())
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

/// Converts a name to snake case: `UserJoined` to `user_joined`, `HTTPError` to `http_error`.
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
        let begin = quote! {
            #[automatically_derived]
            impl<T> ::renamed::typed::TypedEvent for Message<T> where T: Copy
        };
        assert!(said.starts_with(&begin.to_string()), "{said}");
        for expected in [
            quote!(
                const NAME: &'static str = "chat message";
            ),
            quote!(
                type Ack = (bool, Vec<u8>);
            ),
        ] {
            assert!(said.contains(&expected.to_string()), "{expected}: {said}");
        }
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
    fn arguments_have_names() {
        for (item, expected) in [
            (
                quote!(
                    struct Say {
                        text: String,
                    }
                ),
                ":: Arguments :: WHOLE",
            ),
            (
                quote!(
                    #[event(arguments(say))]
                    struct Say {
                        text: String,
                    }
                ),
                ":: Arguments :: whole (& [\"say\"])",
            ),
            (
                quote!(
                    struct Say;
                ),
                ":: Arguments :: fields (& [])",
            ),
            (
                quote!(
                    struct SayIt(String);
                ),
                ":: Arguments :: fields (& [\"say_it\"])",
            ),
            (
                quote!(
                    struct Say(u8, u8);
                ),
                ":: Arguments :: fields (& [\"arg0\" , \"arg1\"])",
            ),
            (
                quote!(
                    #[event(arguments(id, r#type))]
                    struct Say(u8, u8);
                ),
                ":: Arguments :: fields (& [\"id\" , \"type\"])",
            ),
        ] {
            let said = expanded(item);
            assert!(said.contains(expected), "{expected}: {said}");
        }
    }

    #[test]
    fn rules_are_found_by_their_attributes() {
        for item in [
            quote!(
                struct Say(#[garde(ascii)] String);
            ),
            quote!(
                struct Say<T> {
                    #[garde(dive)]
                    text: T,
                }
            ),
            quote!(
                enum Say {
                    Nothing,
                    Text(#[garde(ascii)] String),
                }
            ),
            quote!(
                #[garde(allow_unvalidated)]
                struct Say {
                    text: String,
                }
            ),
        ] {
            let said = expanded(item);
            assert!(said.contains("typed :: check_rules (self"), "{said}");
        }
        // Without attributes, `Validate` may be implemented by hand.
        let said = expanded(quote!(
            #[event(ack = (A, B))]
            struct Say(String);
        ));
        assert_eq!(said.matches(". check ()").count(), 3, "{said}");
        assert!(
            said.contains("value : & ack . 1 , argument : 1usize"),
            "{said}"
        );
        let said = expanded(quote!(
            #[event(ack = T)]
            struct Say<T>(T);
        ));
        assert_eq!(said.matches(". check ()").count(), 0, "{said}");
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
                "`name = \\\"…\\\"`, `ack = Type`, `arguments(…)` and `crate = path`",
            ),
            (
                quote!(
                    #[event(arguments(a))]
                    struct New(u8, u8);
                ),
                "`New` has 2 arguments, and 1 are named",
            ),
            (
                quote!(
                    #[event(arguments(a, b))]
                    struct New {
                        c: u8,
                    }
                ),
                "`New` has 1 argument, and 2 are named",
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
