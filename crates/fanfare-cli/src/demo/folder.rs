//! Folders that the demo serves when they exist: the book and the API documentation, as their tools have built them.

use std::path::{Component, Path, PathBuf};

use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use super::assets::{content_type, only_reading};

/// Maximum size of a file, in bytes. The largest files are search indexes.
const MAX_FILE_BYTES: u64 = 32 * 1024 * 1024;

/// Content security policy: mdBook and rustdoc write scripts and styles into their pages.
const POLICY: &str = "default-src 'self' 'unsafe-inline' data:; object-src 'none'; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'none'";

/// A folder of documentation, and the path under which it is served.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    path: &'static str,
    directory: Option<PathBuf>,
    /// Page to go to from the root of the folder, if it has no `index.html`.
    start: &'static str,
    /// Command that builds the folder.
    build: &'static str,
}

impl Folder {
    /// Returns the folder at `path`, such as `/book`. It is served if `directory` has files when they are requested.
    pub(crate) fn new(
        path: &'static str,
        directory: Option<PathBuf>,
        start: &'static str,
        build: &'static str,
    ) -> Self {
        Self {
            path,
            directory,
            start,
            build,
        }
    }

    /// Returns whether the folder has its start page.
    pub(crate) fn is_built(&self) -> bool {
        self.directory.as_deref().is_some_and(|directory| {
            directory.join("index.html").is_file()
                || directory.join(self.start).join("index.html").is_file()
        })
    }

    /// Answers a request for a file of the folder.
    pub(crate) async fn serve(self, method: Method, uri: Uri) -> Response {
        if let Some(rejection) = only_reading(&method) {
            return rejection;
        }
        let path = uri.path().strip_prefix(self.path).unwrap_or_default();
        let Some(directory) = self.directory.as_deref() else {
            return self.not_built();
        };
        let Some(file) = resolve(directory, path) else {
            return missing();
        };
        if is_directory(&file).await {
            if !path.ends_with('/') {
                return redirect(&format!("{}{path}/", self.path));
            }
            let index = file.join("index.html");
            return match read(&index).await {
                Some(content) => answer(&method, &index, content),
                None if path == "/" && self.is_built() => {
                    redirect(&format!("{}/{}/", self.path, self.start))
                }
                None if path == "/" => self.not_built(),
                None => missing(),
            };
        }
        match read(&file).await {
            Some(content) => answer(&method, &file, content),
            None if path == "/" => self.not_built(),
            None => missing(),
        }
    }

    fn not_built(&self) -> Response {
        let text = format!(
            "These pages are not built: run `{}` in the repository, then `cargo xtask demo`.\n",
            self.build
        );
        (StatusCode::NOT_FOUND, text).into_response()
    }
}

/// Returns the file that a path names. A path that leaves the folder, or that has a percent sign (names of files of
/// mdBook and rustdoc need none), names none.
fn resolve(directory: &Path, path: &str) -> Option<PathBuf> {
    let relative = Path::new(path.trim_start_matches('/'));
    let inside = relative
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    (inside && !path.contains(['%', '\\', ':'])).then(|| directory.join(relative))
}

async fn is_directory(path: &Path) -> bool {
    let metadata = tokio::fs::metadata(path).await;
    metadata.is_ok_and(|metadata| metadata.is_dir())
}

/// Reads a file of bounded size.
async fn read(path: &Path) -> Option<Vec<u8>> {
    let metadata = tokio::fs::metadata(path).await.ok()?;
    if !metadata.is_file() || metadata.len() > MAX_FILE_BYTES {
        return None;
    }
    tokio::fs::read(path).await.ok()
}

fn answer(method: &Method, file: &Path, content: Vec<u8>) -> Response {
    let name = file.to_string_lossy();
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(&name)));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(content.len()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    if *method != Method::HEAD {
        *response.body_mut() = Body::from(content);
    }
    response
}

fn redirect(to: &str) -> Response {
    match HeaderValue::from_str(to) {
        Ok(to) => (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, to)]).into_response(),
        Err(_) => missing(),
    }
}

fn missing() -> Response {
    (StatusCode::NOT_FOUND, "There is nothing here. Start at /\n").into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    async fn get(folder: &Folder, path: &str) -> (StatusCode, Response) {
        let uri = path.parse().unwrap();
        let response = folder.clone().serve(Method::GET, uri).await;
        (response.status(), response)
    }

    /// A folder that is removed when the test ends.
    struct Temporary(PathBuf);

    impl Drop for Temporary {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn book(test: &str) -> (Temporary, Folder) {
        let name = format!("fanfare-{test}-{}", std::process::id());
        let root = std::env::temp_dir().join(name);
        std::fs::create_dir_all(root.join("book/en/ch")).unwrap();
        std::fs::write(root.join("book/en/index.html"), "<h1>Book</h1>").unwrap();
        std::fs::write(root.join("book/en/book.js"), "1").unwrap();
        std::fs::write(root.join("secret"), "secret").unwrap();
        let folder = Folder::new("/book", Some(root.join("book")), "en", "build it");
        (Temporary(root), folder)
    }

    #[tokio::test]
    async fn files_and_folders_are_served() {
        let (_root, folder) = book("files");
        assert!(folder.is_built());
        let (status, response) = get(&folder, "/book/").await;
        assert_eq!(status, StatusCode::TEMPORARY_REDIRECT);
        assert_eq!(response.headers()[LOCATION], "/book/en/");
        assert_eq!(
            get(&folder, "/book/en").await.1.headers()[LOCATION],
            "/book/en/"
        );
        let (status, response) = get(&folder, "/book/en/").await;
        assert_eq!(status, StatusCode::OK);
        let body = to_bytes(response.into_body(), 100).await.unwrap();
        assert_eq!(body, "<h1>Book</h1>");
        let script = get(&folder, "/book/en/book.js").await.1;
        assert_eq!(
            script.headers()[CONTENT_TYPE],
            "text/javascript; charset=utf-8"
        );
        assert_eq!(get(&folder, "/book/en/ch/").await.0, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn nothing_outside_the_folder() {
        let (_root, folder) = book("outside");
        for path in [
            "/book/../secret",
            "/book//../secret",
            "/book/%2e%2e/secret",
            "/book/en/../../secret",
            "/book/./en/../../secret",
        ] {
            assert_eq!(get(&folder, path).await.0, StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[tokio::test]
    async fn a_folder_that_is_not_built_says_how() {
        for directory in [None, Some(PathBuf::from("/nothing/is/here"))] {
            let folder = Folder::new("/book", directory, "en", "cargo xtask book");
            assert!(!folder.is_built());
            let (status, response) = get(&folder, "/book/").await;
            assert_eq!(status, StatusCode::NOT_FOUND);
            let body = to_bytes(response.into_body(), 1000).await.unwrap();
            assert!(String::from_utf8_lossy(&body).contains("cargo xtask book"));
        }
    }
}
