//! Builders of typed sockets.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;

use fanfare_protocol::typed::{Contract, FromServer, TakesEvent, TypedEvent};

use super::TypedSocket;
use crate::error::{BuildError, StartError};
use crate::handler::{Acknowledges, Handler, IntoAck, OnEvent};
use crate::options::{ClientBuilder, SocketBuilder};
use crate::socket::Socket;

macro_rules! typed_options {
    ($builder:ty) => {
        impl $builder {
            /// Handles a typed event: the parameter [`Typed<E>`](crate::typed::Typed) selects the event, and the handler must
            /// return its acknowledgement.
            ///
            /// ```no_run
            /// # #[cfg(feature = "macros")] {
            /// use fanfare_client::typed::{Typed, TypedEvent};
            /// use fanfare_client::Ack;
            ///
            /// #[derive(serde::Deserialize, TypedEvent)]
            /// #[event(ack = i64)]
            /// struct Add(i64, i64);
            ///
            /// # async fn run() -> Result<(), fanfare_client::StartError> {
            /// let socket = fanfare_client::connect("http://localhost:3000")
            ///     .on_event(async |Typed(Add(a, b)): Typed<Add>| Ack(a + b))
            ///     .await?;
            /// # Ok(())
            /// # }
            /// # }
            /// ```
            pub fn on_event<H, T, I>(self, handler: H) -> Self
            where
                H: Handler<OnEvent, T>,
                T: TakesEvent<I> + 'static,
                H::Output: Acknowledges<<T::Event as TypedEvent>::Ack>,
            {
                self.on(T::Event::NAME, handler)
            }
        }

        impl Builder for $builder {
            fn on<T: 'static>(
                self,
                event: &str,
                handler: impl Handler<OnEvent, T, Output: IntoAck>,
            ) -> Self {
                self.on(event, handler)
            }

            fn build(self) -> Result<Socket, BuildError> {
                self.build()
            }
        }
    };
}

typed_options!(ClientBuilder);
typed_options!(SocketBuilder);

impl ClientBuilder {
    /// Restricts the socket to a contract: from here on only handlers of its events can be added. The namespace is that
    /// of the contract, unless [`namespace`](Self::namespace) has set another.
    pub fn typed<C: Contract>(mut self) -> TypedBuilder<C> {
        self.namespace.get_or_insert_with(|| C::NAMESPACE.into());
        TypedBuilder::new(self)
    }
}

impl SocketBuilder {
    /// Restricts the socket to a contract: from here on only handlers of its events can be added.
    pub fn typed<C: Contract>(self) -> TypedBuilder<C, Self> {
        TypedBuilder::new(self)
    }
}

mod sealed {
    use super::{BuildError, Handler, IntoAck, OnEvent, Socket};

    /// Common operations of both builders.
    pub trait Builder: Sized {
        fn on<T: 'static>(
            self,
            event: &str,
            handler: impl Handler<OnEvent, T, Output: IntoAck>,
        ) -> Self;
        fn build(self) -> Result<Socket, BuildError>;
    }
}
use sealed::Builder;

/// Builder of a [`TypedSocket`], which adds its handlers.
///
/// Await it for a connected socket, or [`build`](Self::build) it to connect later. Set all other options before, on the
/// [`ClientBuilder`].
#[must_use = "nothing happens before `build` or `.await`"]
pub struct TypedBuilder<C, B = ClientBuilder> {
    builder: B,
    contract: PhantomData<fn() -> C>,
}

impl<C, B> TypedBuilder<C, B> {
    fn new(builder: B) -> Self {
        Self {
            builder,
            contract: PhantomData,
        }
    }
}

impl<C, B: Builder> TypedBuilder<C, B> {
    /// Handles an event of the contract, see [`ClientBuilder::on_event`].
    pub fn on<H, T, I>(self, handler: H) -> Self
    where
        H: Handler<OnEvent, T>,
        T: TakesEvent<I, Event: FromServer<C>> + 'static,
        H::Output: Acknowledges<<T::Event as TypedEvent>::Ack>,
    {
        Self::new(Builder::on(self.builder, T::Event::NAME, handler))
    }

    /// Builds the socket without connecting: call [`Socket::connect`].
    ///
    /// # Errors
    ///
    /// [`BuildError`] if an option is invalid.
    pub fn build(self) -> Result<TypedSocket<C>, BuildError> {
        Builder::build(self.builder).map(TypedSocket::new)
    }
}

impl<C, B> fmt::Debug for TypedBuilder<C, B>
where
    B: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.builder.fmt(f)
    }
}

impl<C, B> IntoFuture for TypedBuilder<C, B>
where
    C: 'static,
    B: IntoFuture<Output = Result<Socket, StartError>, IntoFuture: Send + 'static>,
{
    type Output = Result<TypedSocket<C>, StartError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let connecting = self.builder.into_future();
        Box::pin(async move { connecting.await.map(TypedSocket::new) })
    }
}
