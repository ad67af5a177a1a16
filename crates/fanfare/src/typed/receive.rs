//! Handlers of typed events.

use fanfare_protocol::typed::{Contract, FromClients, TakesEvent, Typed, TypedEvent, Untyped};
use serde::de::DeserializeOwned;

use crate::extract::{FromContext, Rejection};
use crate::handler::{Acknowledges, EventContext, Handler, OnEvent, erase_event};
use crate::namespace::Namespace;
use crate::socket::{ListenerId, Socket};

impl<E: TypedEvent + DeserializeOwned> FromContext<OnEvent> for Typed<E> {
    const TAKES_DATA: bool = true;

    fn from_context(cx: &EventContext<'_>) -> Result<Self, Rejection> {
        cx.data()
    }
}

impl Namespace {
    /// Creates the namespace of a contract: handlers are added with [`on_event`](Namespace::on_event) only, and only
    /// for events that the contract allows clients to send.
    ///
    /// ```
    /// # #[cfg(feature = "macros")] {
    /// use fanfare::typed::{Contract, Typed, TypedEvent};
    /// use fanfare::Namespace;
    ///
    /// #[derive(serde::Deserialize, TypedEvent)]
    /// struct Say(String);
    ///
    /// #[derive(Contract)]
    /// #[contract(namespace = "/chat", from_clients(Say))]
    /// struct Chat;
    ///
    /// let chat = Namespace::typed::<Chat>().on_event(async |Typed(Say(text)): Typed<Say>| println!("{text}"));
    /// # }
    /// ```
    pub fn typed<C: Contract>() -> Namespace<C> {
        Self::new(C::NAMESPACE).contract()
    }

    /// Applies a contract to the namespace from here on; for [patterns](Self::pattern) and [functions](Self::dynamic).
    ///
    /// ```
    /// # #[cfg(feature = "macros")] {
    /// use fanfare::typed::Contract;
    /// use fanfare::Namespace;
    ///
    /// #[derive(Contract)]
    /// struct Orders;
    ///
    /// let orders = Namespace::pattern("/orders-{id}").contract::<Orders>();
    /// # }
    /// ```
    pub fn contract<C: Contract>(mut self) -> Namespace<C> {
        self.behaviour.contract = Some(crate::handler::ContractId::of::<C>());
        self.with_contract()
    }
}

impl<C> Namespace<C> {
    /// Adds a handler for a typed event: the event is that of the parameter [`Typed<E>`](Typed), and the return value
    /// of the handler must be its acknowledgement. Otherwise as [`on`](Namespace::on).
    ///
    /// ```
    /// # #[cfg(feature = "macros")] {
    /// use fanfare::typed::{Typed, TypedEvent};
    /// use fanfare::{Ack, Namespace};
    ///
    /// #[derive(serde::Deserialize, TypedEvent)]
    /// #[event(ack = i64)]
    /// struct Add(i64, i64);
    ///
    /// let ns = Namespace::new("/").on_event(async |Typed(Add(a, b)): Typed<Add>| Ack(a + b));
    /// # }
    /// ```
    ///
    /// An answer of another type does not compile:
    ///
    /// ```compile_fail,E0277
    /// # use fanfare::typed::{Typed, TypedEvent};
    /// # use fanfare::{Ack, Namespace};
    /// # #[derive(serde::Deserialize, TypedEvent)]
    /// # #[event(ack = i64)]
    /// # struct Add(i64, i64);
    /// # let ns =
    /// Namespace::new("/").on_event(async |Typed(Add(a, b)): Typed<Add>| Ack(format!("{}", a + b)));
    /// ```
    pub fn on_event<H, T, I>(mut self, handler: H) -> Self
    where
        H: Handler<OnEvent, T>,
        T: TakesEvent<I, Event: FromClients<C>> + 'static,
        H::Output: Acknowledges<<T::Event as TypedEvent>::Ack>,
    {
        self.behaviour
            .add_event(T::Event::NAME, erase_event(handler));
        self
    }

    /// Returns the namespace without its contract.
    pub(crate) fn untyped(self) -> Namespace<Untyped> {
        self.with_contract()
    }
}

impl Socket {
    /// Adds a handler as [`on`](Self::on) does, for a typed event, see [`Namespace::on_event`].
    pub fn on_event<H, T, I>(&self, handler: H) -> ListenerId
    where
        H: Handler<OnEvent, T>,
        T: TakesEvent<I> + 'static,
        H::Output: Acknowledges<<T::Event as TypedEvent>::Ack>,
    {
        self.on(T::Event::NAME, handler)
    }

    /// Adds a handler as [`once`](Self::once) does, for a typed event, see [`Namespace::on_event`].
    pub fn once_event<H, T, I>(&self, handler: H) -> ListenerId
    where
        H: Handler<OnEvent, T>,
        T: TakesEvent<I> + 'static,
        H::Output: Acknowledges<<T::Event as TypedEvent>::Ack>,
    {
        self.once(T::Event::NAME, handler)
    }
}
