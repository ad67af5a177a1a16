//! Middlewares that admit clients to a namespace, and a custom extractor.

use std::collections::HashMap;
use std::sync::Arc;

use fanfare::extract::{FromContext, Rejection};
use fanfare::handler::{HandlerKind, HasSocket};
use fanfare::{Ack, ConnectError, Data, EventError, Handshake, Namespace, Socket, SocketIo, State};

#[derive(Debug, serde::Deserialize)]
struct Auth {
    token: String,
}

type Users = Arc<HashMap<&'static str, &'static str>>;

/// The user of the socket; every handler can take it.
#[derive(Debug, Clone)]
struct User(&'static str);

impl<M: HandlerKind<Socket = Socket>> FromContext<M> for User {
    fn from_context(cx: &M::Context<'_>) -> Result<Self, Rejection> {
        let user = cx.socket().extensions().get();
        user.ok_or_else(|| Rejection::Other(EventError::new("nobody is logged in")))
    }
}

async fn authenticate(
    socket: Socket,
    State(users): State<Users>,
    Data(auth): Data<Option<Auth>>,
) -> Result<(), ConnectError> {
    let user = auth.and_then(|auth| users.get(auth.token.as_str()).copied());
    let user =
        user.ok_or_else(|| ConnectError::new("not authorized").with_data("unknown token"))?;
    socket.extensions().insert(User(user));
    socket.join(format!("user:{user}"))?;
    Ok(())
}

async fn log(user: User, handshake: Handshake) {
    println!(
        "{} from {:?} with {:?}",
        user.0,
        handshake.address(),
        handshake.header("user-agent")
    );
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let private = Namespace::new("/private")
        .middleware(authenticate)
        .on_connect(log)
        .on("who am i", async |user: User| Ack(user.0));
    let users: Users = Arc::new(HashMap::from([("t0ken", "alice"), ("s3cret", "bob")]));
    let io = SocketIo::builder()
        .namespace(private)
        .state(users)
        .build()?;
    println!("listening on http://127.0.0.1:3000, namespace /private");
    fanfare::serve(io).bind("127.0.0.1:3000").await?;
    Ok(())
}
