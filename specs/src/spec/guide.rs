//! Documentation of every field of a spec, generated from the table of fields.

use super::fields::{Class, Field, OBJECTS, Object, Shape};

/// The fields of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The field that contains it.
    pub title: &'static str,
    /// The fields that have an effect.
    pub fields: Vec<Described>,
    /// Fields that cannot affect results.
    pub ignored: Vec<&'static str>,
    /// Fields that are errors, with the reason.
    pub refused: Vec<(&'static str, &'static str)>,
}

/// A field that has an effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Its name.
    pub name: &'static str,
    /// The type of its value, such as `text` or `list of text`.
    pub shape: String,
    /// Its description, with the default in parentheses.
    pub about: &'static str,
}

/// All objects, the spec itself first.
pub fn sections() -> Vec<Section> {
    OBJECTS.iter().map(|object| section(object)).collect()
}

fn section(object: &Object) -> Section {
    let acts = |field: &&Field| field.class == Class::Acts;
    let described = |field: &Field| Described { name: field.name, shape: words(field.shape), about: field.about };
    let ignored = |field: &&Field| matches!(field.class, Class::Ignored | Class::IgnoredIf(..));
    let refused = |field: &Field| if let Class::Refused(why) = field.class { Some((field.name, why)) } else { None };
    Section {
        title: if object.is_spec() { "the spec" } else { object.name },
        fields: object.fields.iter().filter(acts).map(described).collect(),
        ignored: object.fields.iter().filter(ignored).map(|field| field.name).collect(),
        refused: object.fields.iter().filter_map(refused).collect(),
    }
}

fn words(shape: Shape) -> String {
    match shape {
        Shape::Anything => "anything".to_owned(),
        Shape::Text => "text".to_owned(),
        Shape::Boolean => "true, false".to_owned(),
        Shape::Integer(..) => "number".to_owned(),
        Shape::OneOf(words) => words.join(", "),
        Shape::TextMap => "text by key".to_owned(),
        Shape::List(items) => format!("list of {}", words(*items)),
        Shape::Object(object) => format!("{} …", object.name),
        Shape::TextOr(object) => format!("text or {} …", object.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_that_acts_is_told_with_what_it_is_for() {
        let all = sections();
        assert_eq!(all[0].title, "the spec");
        assert!(
            all.iter()
                .flat_map(|section| &section.fields)
                .all(|field| !field.about.is_empty() && !field.shape.is_empty())
        );
        let transform = all.iter().find(|section| section.title == "transform").unwrap();
        let cmd = transform.fields.iter().find(|field| field.name == "cmd").unwrap();
        assert_eq!(cmd.shape, "list of text");
        assert!(all[0].ignored.contains(&"cache_size") && all[0].refused.iter().any(|(name, _)| *name == "egress"));
    }
}
