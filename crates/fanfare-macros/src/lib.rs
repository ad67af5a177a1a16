//! Macros of the Socket.IO server [`fanfare`](https://docs.rs/fanfare), its client and what both have in common. Use them
//! through these crates, with their feature `macros`.

#![forbid(unsafe_code)]

mod contract;
mod debug_handler;
mod item;
mod typed_event;

use proc_macro::TokenStream;
use quote::quote;

/// Makes the compiler say which part of a handler is wrong: points at the parameter that is no extractor, at the value
/// that cannot be returned, at what is held over an `.await` and is not `Send`. Changes nothing else, and costs nothing
/// at run time; take it off once the handler compiles.
///
/// What the handler is for is said in brackets:
///
/// | attribute | handlers of |
/// |---|---|
/// | `#[fanfare::debug_handler]` | `on`, `once`, `on_any`, `fallback`, `on_server_event` |
/// | `#[fanfare::debug_handler(packet_middleware)]` | `packet_middleware` |
/// | `#[fanfare::debug_handler(middleware)]` | `middleware` |
/// | `#[fanfare::debug_handler(connect)]` | `on_connect` |
/// | `#[fanfare::debug_handler(disconnect)]` | `on_disconnecting`, `on_disconnect` |
///
/// It works on `async fn` items without type parameters; a closure has to become one for the time being.
///
/// ```
/// use fanfare::{Ack, Data, EmitError, Namespace, Socket};
///
/// #[fanfare::debug_handler]
/// async fn say(socket: Socket, Data(text): Data<String>) -> Result<Ack<&'static str>, EmitError> {
///     socket.broadcast().emit("said", &text)?;
///     Ok(Ack("delivered"))
/// }
///
/// let chat = Namespace::new("/chat").on("say", say);
/// ```
///
/// Here it says, under the type `String`: "`String` is not an extractor for `OnEvent`", "to receive the arguments of an
/// event, wrap the type: `Data<T>`":
///
/// ```compile_fail,E0277
/// # use fanfare::Socket;
/// #[fanfare::debug_handler]
/// async fn say(socket: Socket, text: String) {}
/// ```
#[proc_macro_attribute]
pub fn debug_handler(attribute: TokenStream, item: TokenStream) -> TokenStream {
    debug_handler::expand(attribute.into(), item.into()).into()
}

// Each derive is here once for each crate that hands it on, so that what it writes finds the traits in the crate that the
// user has.

#[doc = include_str!("typed_event.md")]
#[proc_macro_derive(TypedEvent, attributes(event))]
pub fn typed_event(item: TokenStream) -> TokenStream {
    typed_event::expand(quote!(::fanfare_protocol), item.into()).into()
}

#[doc = include_str!("typed_event.md")]
#[proc_macro_derive(TypedEventOfServer, attributes(event))]
pub fn typed_event_of_server(item: TokenStream) -> TokenStream {
    typed_event::expand(quote!(::fanfare), item.into()).into()
}

#[doc = include_str!("typed_event.md")]
#[proc_macro_derive(TypedEventOfClient, attributes(event))]
pub fn typed_event_of_client(item: TokenStream) -> TokenStream {
    typed_event::expand(quote!(::fanfare_client), item.into()).into()
}

#[doc = include_str!("contract.md")]
#[proc_macro_derive(Contract, attributes(contract))]
pub fn contract(item: TokenStream) -> TokenStream {
    contract::expand(quote!(::fanfare_protocol), item.into()).into()
}

#[doc = include_str!("contract.md")]
#[proc_macro_derive(ContractOfServer, attributes(contract))]
pub fn contract_of_server(item: TokenStream) -> TokenStream {
    contract::expand(quote!(::fanfare), item.into()).into()
}

#[doc = include_str!("contract.md")]
#[proc_macro_derive(ContractOfClient, attributes(contract))]
pub fn contract_of_client(item: TokenStream) -> TokenStream {
    contract::expand(quote!(::fanfare_client), item.into()).into()
}
