//! Tables of the keys of a JSON schema, for reference pages.

use std::{collections::VecDeque, fmt::Write};

use serde_json::Value;

use super::{Page, compare_generated, read, table};

/// A type of the schema that has keys of its own: its name in the schema, and where it is used.
struct Section<'a> {
    name: &'a str,
    paths: Vec<String>,
    schema: &'a Value,
}

impl Section<'_> {
    fn heading(&self, whole: &str) -> String {
        let named: Vec<String> = self.paths.iter().map(|path| format!("`{path}`")).collect();
        if self.name.is_empty() { whole.to_owned() } else { named.join(", ") }
    }
}

/// A schema as a list of sections.
struct Sections<'a> {
    root: &'a Value,
    list: Vec<Section<'a>>,
}

impl<'a> Sections<'a> {
    /// `document` stands before the path of each section.
    fn of(root: &'a Value, document: &str) -> Self {
        let mut sections = Self { root, list: vec![Section { name: "", paths: vec![String::new()], schema: root }] };
        let mut next = VecDeque::from([(root, document.to_owned())]);
        while let Some((schema, path)) = next.pop_front() {
            for (key, value) in properties(schema) {
                let path = below(&path, key);
                let Some((name, suffix)) = sections.used(value) else { continue };
                let path = path + suffix;
                if let Some(known) = sections.list.iter_mut().find(|section| section.name == name) {
                    known.paths.push(path);
                    continue;
                }
                let schema = &root["$defs"][name];
                sections.list.push(Section { name, paths: vec![path.clone()], schema });
                next.push_back((schema, path));
            }
        }
        sections
    }

    /// The type with keys of its own that a value is, or is a list or map of.
    fn used(&self, value: &'a Value) -> Option<(&'a str, &'static str)> {
        if let Some(name) = reference(value) {
            return self.root["$defs"][name]["properties"].is_object().then_some((name, ""));
        }
        let inner = |key: &str, suffix| self.used(value.get(key)?).map(|(name, _)| (name, suffix));
        alternatives(value)
            .find_map(|value| self.used(value))
            .or_else(|| inner("items", "[]"))
            .or_else(|| inner("additionalProperties", ".NAME"))
    }

    /// Says in words what a value may be.
    fn kind(&self, value: &Value) -> String {
        if let Some(name) = reference(value) {
            let found = &self.root["$defs"][name];
            return match self.list.iter().find(|section| section.name == name) {
                Some(section) => {
                    let anchor = section.heading("").to_lowercase();
                    let kept = anchor.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
                    let anchor = kept.collect::<String>().replace(' ', "-");
                    format!("[keys below](#{anchor})")
                }
                None => self.kind(found),
            };
        }
        let kinds: Vec<String> = alternatives(value).map(|value| self.kind(value)).collect();
        if !kinds.is_empty() {
            return kinds.join(" or ");
        }
        if let Some(word) = value.get("const") {
            return format!("`{}`", plain(word));
        }
        if let Some(words) = value["enum"].as_array() {
            return words.iter().map(|word| format!("`{}`", plain(word))).collect::<Vec<_>>().join(", ");
        }
        let types = value["type"].as_array().cloned().unwrap_or_else(|| vec![value["type"].clone()]);
        match types.iter().filter_map(Value::as_str).find(|kind| *kind != "null") {
            Some("string") => "text".to_owned(),
            Some("boolean") => "`true` or `false`".to_owned(),
            Some("integer" | "number") => match (value["minimum"].as_i64(), value["maximum"].as_i64()) {
                (Some(low), Some(high)) => format!("number, {low} to {high}"),
                (Some(low), None) => format!("number, from {low}"),
                _ => "number".to_owned(),
            },
            Some("array") => format!("list of {}", self.kind(&value["items"])),
            Some("object") => match value.get("additionalProperties") {
                Some(each) if each.is_object() => format!("map of names to {}", self.kind(each)),
                _ => {
                    let keys = properties(value).map(|(key, value)| format!("{key}: {}", self.kind(value)));
                    format!("`{{ {} }}`", keys.collect::<Vec<_>>().join(", "))
                }
            },
            _ => "any".to_owned(),
        }
    }

    /// Writes a table for each section. `example` is a document that has every key.
    fn write(&self, whole: &str, level: usize, example: Option<&Value>) -> String {
        let mut text = String::new();
        for section in &self.list {
            let _ = write!(text, "{} {}\n\n", "#".repeat(level), section.heading(whole));
            if let Some(about) = section.schema["description"].as_str() {
                let _ = write!(text, "{}\n\n", cell(about));
            }
            let required = section.schema["required"].as_array().cloned().unwrap_or_default();
            let rows = properties(section.schema).map(|(key, value)| {
                let about = cell(value["description"].as_str().unwrap_or_default());
                let (about, default) = about.split_once("Default: ").unwrap_or((&about, ""));
                let default = default.trim().trim_end_matches('.');
                let default = if required.contains(&key.as_str().into()) { "required" } else { default };
                let row = [format!("`{key}`"), self.kind(value)];
                let Some(example) = example else { return [&row[..], &[about.to_owned()]].concat() };
                let found = section.paths.iter().find_map(|path| find(example, &below(path, key)));
                let found = found.unwrap_or_else(|| panic!("no example of `{key}` in {:?}", section.paths));
                let has_keys = self.used(value).is_some();
                let default = if default.is_empty() && !has_keys { "none" } else { default };
                let shown = if has_keys { String::new() } else { format!("`{}`", flow(found)) };
                [&row[..], &[default.to_owned(), shown, about.trim().to_owned()]].concat()
            });
            let head: &[&str] = match example {
                Some(_) => &["key", "type", "default", "example", "meaning"],
                None => &["key", "type", "meaning"],
            };
            text.push_str(&table(head, rows));
            text.push('\n');
        }
        text.trim_end().to_owned() + "\n"
    }
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flatten()
}

fn reference(value: &Value) -> Option<&str> {
    value["$ref"].as_str()?.strip_prefix("#/$defs/")
}

/// What a value may be, `null` aside.
fn alternatives(value: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["anyOf", "oneOf"].into_iter().filter_map(|key| value[key].as_array());
    lists.flatten().filter(|value| value["type"] != "null")
}

/// Finds the value at a path such as `users[].phone` or `trunks.NAME`, in the first entry that has it.
fn find<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    if path.is_empty() {
        return Some(value);
    }
    let (key, rest) = path.split_once('.').unwrap_or((path, ""));
    if key == "NAME" {
        return value.as_object()?.values().find_map(|value| find(value, rest));
    }
    match key.strip_suffix("[]") {
        Some(key) => value.get(key)?.as_array()?.iter().find_map(|value| find(value, rest)),
        None => find(value.get(key)?, rest),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Writes a value as YAML in a line.
fn flow(value: &Value) -> String {
    let bare = |text: &str| text.chars().all(|c| c.is_alphanumeric() || "-_./@".contains(c)) && !text.is_empty();
    match value {
        Value::String(text) if bare(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let entries = map.iter().map(|(key, value)| format!("{key}: {}", flow(value)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// Puts a description into a cell.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

/// The file that the page shows has every key, and its values are the examples.
#[test]
fn the_page_of_keys_is_the_schema() {
    const PAGE: &str = "docs/reference/keys.md";
    let schema: Value = serde_json::from_str(&read("schema/desired-state.schema.json")).unwrap();
    let blocks = Page::of(&read(PAGE)).blocks;
    let file = blocks.iter().find(|(language, _)| language == "yaml").unwrap();
    let example: Value = serde_yaml::from_str(&file.1).unwrap();
    compare_generated(PAGE, "keys", &Sections::of(&schema, "").write("The file", 2, Some(&example)));
}

#[test]
fn the_page_of_json_formats_is_the_schemas() {
    const PAGE: &str = "docs/reference/json-formats.md";
    for (name, head) in [("plan", "A plan"), ("status", "A status"), ("doctor", "A report of `doctor`")] {
        let schema: Value = serde_json::from_str(&read(&format!("schema/{name}.schema.json"))).unwrap();
        compare_generated(PAGE, name, &Sections::of(&schema, name).write(head, 2, None));
    }
}
