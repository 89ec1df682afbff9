//! Which operations there are.

use std::collections::BTreeSet;

use axum::http::Method;

/// The operations that are described: which of them take a body.
pub(super) struct Operations {
    paths: BTreeSet<String>,
    /// Those without a body, by path and method.
    bodiless: BTreeSet<(String, &'static str)>,
}

impl Operations {
    pub(super) fn of(api: &utoipa::openapi::OpenApi) -> Self {
        let mut bodiless = BTreeSet::new();
        for (path, item) in &api.paths.paths {
            for (method, operation) in [("GET", &item.get), ("POST", &item.post), ("DELETE", &item.delete)] {
                if operation.as_ref().is_some_and(|operation| operation.request_body.is_none()) {
                    bodiless.insert((path.clone(), method));
                }
            }
        }
        Self { paths: api.paths.paths.keys().cloned().collect(), bodiless }
    }

    /// Tells whether there is such an operation, and it takes no body. Pages, which are not described, are read
    /// only.
    pub(super) fn takes_no_body(&self, method: &Method, path: &str) -> bool {
        let method = if method == Method::HEAD { "GET" } else { method.as_str() };
        let path = path.trim_end_matches('/');
        if !self.paths.contains(path) {
            return method == "GET";
        }
        self.bodiless.iter().any(|(known, of)| known == path && *of == method)
    }
}
