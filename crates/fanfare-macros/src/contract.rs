//! `#[derive(Contract)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::punctuated::Punctuated;
use syn::{Error, LitStr, Path, Result, Token, Type, parenthesized};

use crate::item::{Declared, Once};

/// `library`: the crate through which the macro is used.
pub(crate) fn expand(library: TokenStream, item: TokenStream) -> TokenStream {
    derive(library, item).unwrap_or_else(Error::into_compile_error)
}

/// The ways that events go, and the trait of each.
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
    } = Declared::parse(item, "a contract")?;
    if !generics.params.is_empty() {
        return Err(Error::new_spanned(
            generics,
            "a contract has no type parameters and lifetimes",
        ));
    }
    let mut namespace = Once::<LitStr>::new();
    let mut data = Once::<Type>::new();
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
            } else if meta.path.is_ident("crate") {
                library.1.set(&meta.path, meta.value()?.parse()?)
            } else {
                Err(meta.error(
                    "a contract has `namespace = \"/…\"`, `from_clients(…)`, `from_server(…)`, `between_servers(…)`, \
                     `data = Type` and `crate = path`, and nothing else",
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
    let events = WAYS.iter().zip(&ways).map(|((_, name), events)| {
        let way = syn::Ident::new(name, proc_macro2::Span::call_site());
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
        }
        #(#events)*
    })
}

/// The types in brackets.
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
