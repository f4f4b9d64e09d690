//! The JSON Schema of the config, from the doc comments of the written form.

use crate::written::FileWritten;
use serde_json::Value;

/// The JSON Schema (draft 2020-12) of `ringfence.toml`.
#[must_use]
pub fn json_schema() -> Value {
    let mut schema = schemars::schema_for!(FileWritten).to_value();
    without_null(&mut schema);
    schema
}

/// Takes away the `null` that an optional field has in JSON: TOML has none, a field is there or it is not.
fn without_null(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Object(fields) => {
            if let Some(Value::Array(types)) = fields.get_mut("type") {
                types.retain(|kind| kind != "null");
                if let [kind] = types.as_slice() {
                    let kind = kind.clone();
                    fields.insert("type".into(), kind);
                }
            }
            if let Some(Value::Array(choices)) = fields.get_mut("anyOf") {
                choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
                if let [Value::Object(choice)] = choices.as_mut_slice() {
                    let choice = std::mem::take(choice);
                    fields.remove("anyOf");
                    fields.extend(choice);
                }
            }
            fields.values_mut().for_each(without_null);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(value: &Value, holds: &dyn Fn(&Value) -> bool) -> bool {
        holds(value)
            || match value {
                Value::Array(items) => items.iter().any(|item| any(item, holds)),
                Value::Object(fields) => fields.values().any(|item| any(item, holds)),
                _ => false,
            }
    }

    #[test]
    fn nothing_may_be_null() {
        assert!(!any(&json_schema(), &|value| value == "null"));
    }

    #[test]
    fn every_field_is_described() {
        let described = |value: &Value| {
            let properties = value.get("properties").and_then(Value::as_object);
            properties.is_some_and(|fields| {
                fields.values().any(|field| field.get("description").is_none())
            })
        };
        assert!(!any(&json_schema(), &described));
    }

    #[test]
    fn unknown_fields_are_refused_everywhere() {
        let open = |value: &Value| {
            value.get("properties").is_some()
                && value.get("additionalProperties") != Some(&Value::Bool(false))
        };
        assert!(!any(&json_schema(), &open));
    }

    #[test]
    fn only_rules_and_detectors_have_fields_that_must_be_there() {
        let schema = json_schema();
        let definitions = schema["$defs"].as_object().expect("there are definitions").iter();
        let all = definitions.map(|(name, table)| (name.as_str(), table)).chain([("", &schema)]);
        let strict: Vec<&str> = all
            .filter(|(_, table)| table.get("required").is_some())
            .map(|(name, _)| name)
            .collect();
        assert_eq!(strict, ["Detector", "Rule"]);
    }
}
