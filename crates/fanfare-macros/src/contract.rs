//! `#[derive(Contract)]`.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::punctuated::Punctuated;
use syn::{Error, LitStr, Path, Result, Token, Type, parenthesized};

use crate::item::{Declared, Once};

/// Implements the traits of a contract; `library` is the crate through which the macro is used.
pub(crate) fn expand(library: TokenStream, item: TokenStream) -> TokenStream {
    derive(library, item).unwrap_or_else(Error::into_compile_error)
}

/// Directions of events, and the trait of each.
const WAYS: [(&str, &str); 3] = [
    ("from_clients", "FromClients"),
    ("from_server", "FromServer"),
    ("between_servers", "BetweenServers"),
];

fn derive(library: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let Declared {
        attributes,
        name: ident,
        generics,
        ..
    } = Declared::parse(item, "a contract")?;
    if !generics.params.is_empty() {
        return Err(Error::new_spanned(
            generics,
            "a contract has no type parameters and lifetimes",
        ));
    }
    let mut namespace = Once::<LitStr>::new();
    let mut data = Once::<Type>::new();
    let mut auth = Once::<Type>::new();
    let mut library = (library, Once::<Path>::new());
    let mut ways = [const { Vec::<Type>::new() }; WAYS.len()];
    for attribute in attributes.iter().filter(|a| a.path().is_ident("contract")) {
        attribute.parse_nested_meta(|meta| {
            let way = WAYS.iter().position(|(key, _)| meta.path.is_ident(key));
            if let Some(events) = way.and_then(|way| ways.get_mut(way)) {
                events.extend(types(&meta)?);
                Ok(())
            } else if meta.path.is_ident("namespace") {
                namespace.set(&meta.path, meta.value()?.parse()?)
            } else if meta.path.is_ident("data") {
                data.set(&meta.path, meta.value()?.parse()?)
            } else if meta.path.is_ident("auth") {
                auth.set(&meta.path, meta.value()?.parse()?)
            } else if meta.path.is_ident("crate") {
                library.1.set(&meta.path, meta.value()?.parse()?)
            } else {
                Err(meta.error(
                    "a contract has `namespace = \"/…\"`, `from_clients(…)`, `from_server(…)`, `between_servers(…)`, \
                     `auth = Type`, `data = Type` and `crate = path`, and nothing else",
                ))
            }
        })?;
    }
    let namespace = match namespace.0 {
        None => "/".to_owned(),
        Some(name) if name.value().starts_with('/') => name.value(),
        Some(name) => {
            let message = format!(
                "the name of a namespace begins with a slash: `/{}`",
                name.value()
            );
            return Err(Error::new(name.span(), message));
        }
    };
    let library = library.1.0.map_or(library.0, |path| quote!(#path));
    let data = data.0.map_or_else(|| quote!(()), |data| quote!(#data));
    let auth = auth.0.map_or_else(|| quote!(()), |auth| quote!(#auth));
    let visit = visit(&library, &ident, &ways, &auth);
    let events = WAYS.iter().zip(&ways).map(|((_, name), events)| {
        let way = Ident::new(name, Span::call_site());
        quote! {
            #(#[automatically_derived] impl #library::typed::#way<#ident> for #events {})*
            const _: () = #library::typed::distinct(
                &[#(<#events as #library::typed::TypedEvent>::NAME),*]
            );
        }
    });
    Ok(quote! {
        #[automatically_derived]
        impl #library::typed::Contract for #ident {
            const NAMESPACE: &'static str = #namespace;
            type SocketData = #data;
            type Auth = #auth;
        }
        #(#events)*
        #visit
    })
}

/// Implements `VisitEvents`. Its bounds are on the visitor, so that a contract compiles even if its types do not meet
/// them, for example without a JSON Schema.
fn visit(
    library: &TokenStream,
    contract: &Ident,
    ways: &[Vec<Type>],
    auth: &TokenStream,
) -> TokenStream {
    let named = |event: &Type| static_lifetimes(quote!(#event));
    let bounds = ways.iter().flatten().map(named);
    let calls = WAYS.iter().zip(ways).flat_map(|((_, name), events)| {
        let direction = Ident::new(name, Span::call_site());
        events.iter().map(named).map(move |event| {
            quote!(#library::typed::EventVisitor::<#event>::event(visitor, #library::typed::Direction::#direction);)
        })
    });
    let auth = static_lifetimes(auth.clone());
    quote! {
        #[automatically_derived]
        impl<V> #library::typed::VisitEvents<V> for #contract
        where
            V: #library::typed::AuthVisitor<#auth> #(+ #library::typed::EventVisitor<#bounds>)*
        {
            fn visit(visitor: &mut V) {
                #(#calls)*
                #library::typed::AuthVisitor::<#auth>::auth(visitor);
            }
        }
    }
}

/// Returns the type with `'static` in place of `'_`, which is not allowed in a bound.
fn static_lifetimes(tokens: TokenStream) -> TokenStream {
    let mut after_tick = false;
    tokens
        .into_iter()
        .map(|token| {
            let tick = after_tick;
            after_tick = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '\'');
            match token {
                TokenTree::Ident(ident) if tick && ident == "_" => {
                    TokenTree::Ident(Ident::new("static", ident.span()))
                }
                TokenTree::Group(group) => {
                    let inside = static_lifetimes(group.stream());
                    TokenTree::Group(Group::new(group.delimiter(), inside))
                }
                other => other,
            }
        })
        .collect()
}

/// Returns the types in brackets.
fn types(meta: &ParseNestedMeta<'_>) -> Result<Punctuated<Type, Token![,]>> {
    let list;
    parenthesized!(list in meta.input);
    Punctuated::parse_terminated(&list)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(item: TokenStream) -> String {
        expand(quote!(::fanfare), item).to_string()
    }

    #[test]
    fn every_event_is_a_line() {
        let said = expanded(quote! {
            #[contract(namespace = "/chat", from_clients(Say, other::Join,), from_server(Said), data = User)]
            #[contract(from_server(Joined))]
            pub struct Chat;
        });
        for expected in [
            quote!(
                const NAMESPACE: &'static str = "/chat";
            ),
            quote!(
                type SocketData = User;
            ),
            quote!(impl ::fanfare::typed::FromClients<Chat> for Say {}),
            quote!(impl ::fanfare::typed::FromClients<Chat> for other::Join {}),
            quote!(impl ::fanfare::typed::FromServer<Chat> for Said {}),
            quote!(impl ::fanfare::typed::FromServer<Chat> for Joined {}),
            quote!(&[
                <Said as ::fanfare::typed::TypedEvent>::NAME,
                <Joined as ::fanfare::typed::TypedEvent>::NAME
            ]),
        ] {
            let expected = expected.to_string();
            assert!(said.contains(&expected), "{expected}: {said}");
        }
        assert!(!said.contains("BetweenServers <"), "{said}");
    }

    #[test]
    fn what_cannot_be() {
        for (item, expected) in [
            (
                quote!(
                    #[contract(namespace = "chat")]
                    struct Chat;
                ),
                "begins with a slash: `/chat`",
            ),
            (
                quote!(
                    #[contract(clients(Say))]
                    struct Chat;
                ),
                "`from_clients(…)`, `from_server(…)`",
            ),
            (
                quote!(
                    #[contract(from_clients = Say)]
                    struct Chat;
                ),
                "expected parentheses",
            ),
            (
                quote!(
                    #[contract(data = u8, data = u8)]
                    struct Chat;
                ),
                "`data` is said twice",
            ),
            (
                quote!(
                    struct Chat<T>(T);
                ),
                "no type parameters",
            ),
            (
                quote!(
                    fn chat() {}
                ),
                "a contract is a struct or an enum",
            ),
        ] {
            let said = expanded(item);
            assert!(said.contains("compile_error"), "{said}");
            assert!(said.contains(expected), "{expected}: {said}");
        }
    }
}
