//! Cross-origin requests of browser applications (Fetch Standard §3.2), for the origins that the
//! configuration names.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap,
    HeaderValue, ORIGIN, VARY,
};
use http::{Method, Request, Response, StatusCode};

use super::empty;
use crate::net::http::Body;

/// The answer to a preflight: an OPTIONS that names the method to come. Any other OPTIONS asks for
/// the capabilities.
pub(super) fn preflight<B>(request: &Request<B>, origins: &[String]) -> Option<Response<Body>> {
    if request.method() != Method::OPTIONS || !request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        return None;
    }
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    if let Some(origin) = allowed(request.headers(), origins) {
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let methods = HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE, OPTIONS");
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        headers.insert(
            ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("Accept, Authorization, Content-Type"),
        );
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
    response.headers_mut().insert(VARY, HeaderValue::from_static("Origin"));
    Some(response)
}

/// Lets a browser application of an allowed origin read the response.
pub(super) fn allow(response: &mut Response<Body>, request: &HeaderMap, origins: &[String]) {
    if origins.is_empty() {
        return;
    }
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = allowed(request, origins) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let exposed = HeaderValue::from_static("Content-Location, Location, Retry-After, Warning");
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
}

fn allowed(request: &HeaderMap, origins: &[String]) -> Option<HeaderValue> {
    let origin = request.get(ORIGIN)?;
    if origins.iter().any(|allowed| allowed == "*") {
        return Some(HeaderValue::from_static("*"));
    }
    origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()).then(|| origin.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, origin: &str, preflight: bool) -> Request<()> {
        let mut builder = Request::builder().method(method).header(ORIGIN, origin);
        if preflight {
            builder = builder.header(ACCESS_CONTROL_REQUEST_METHOD, "GET");
        }
        builder.body(()).unwrap()
    }

    #[test]
    fn only_named_origins_are_let_in() {
        let origins = vec!["https://viewer.example".to_owned()];
        let good = preflight(&request(Method::OPTIONS, "https://viewer.example", true), &origins).unwrap();
        assert_eq!(good.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "https://viewer.example");
        let bad = preflight(&request(Method::OPTIONS, "https://evil.example", true), &origins).unwrap();
        assert!(!bad.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
        assert!(preflight(&request(Method::OPTIONS, "https://viewer.example", false), &origins).is_none());
        assert!(preflight(&request(Method::GET, "https://viewer.example", true), &origins).is_none());
    }

    #[test]
    fn an_application_may_register_and_read_where_it_is_notified() {
        let origins = vec!["https://viewer.example".to_owned()];
        for method in ["GET", "POST", "PUT", "DELETE"] {
            let asked = Request::builder()
                .method(Method::OPTIONS)
                .header(ORIGIN, "https://viewer.example")
                .header(ACCESS_CONTROL_REQUEST_METHOD, method)
                .body(())
                .unwrap();
            let answer = preflight(&asked, &origins).unwrap();
            let allowed = answer.headers()[ACCESS_CONTROL_ALLOW_METHODS].to_str().unwrap();
            assert!(allowed.split(", ").any(|one| one == method), "{allowed}");
        }
        let mut response = Response::new(empty());
        allow(&mut response, request(Method::POST, "https://viewer.example", false).headers(), &origins);
        let exposed = response.headers()[ACCESS_CONTROL_EXPOSE_HEADERS].to_str().unwrap();
        for name in ["Content-Location", "Location", "Retry-After", "Warning"] {
            assert!(exposed.split(", ").any(|one| one == name), "{exposed}");
        }
    }

    #[test]
    fn a_star_lets_anybody_in_and_nothing_nobody() {
        let read = |origins: &[String]| {
            let mut response = Response::new(empty());
            allow(&mut response, request(Method::GET, "https://a.example", false).headers(), origins);
            response.headers().get(ACCESS_CONTROL_ALLOW_ORIGIN).cloned()
        };
        assert_eq!(read(&["*".to_owned()]).unwrap(), "*");
        assert_eq!(read(&[]), None);
    }
}
