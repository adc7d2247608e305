//! Values derived from rows and needed repeatedly, such as the graph of all pipelines: cached until the rows change.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// One value per type.
#[derive(Debug, Default)]
pub(crate) struct Derived(Mutex<HashMap<TypeId, Known>>);

/// A value, with the number of the change after which it was derived.
type Known = (u64, Arc<dyn Any + Send + Sync>);

impl Derived {
    /// The value derived after change `number`, else the result of `make`. Concurrent readers may call `make` more than once.
    pub(crate) fn get<T: Any + Send + Sync, E>(
        &self,
        number: u64,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        if let Some((known, value)) = self.0.lock().expect("no panic under this lock").get(&TypeId::of::<T>())
            && *known == number
            && let Ok(value) = value.clone().downcast()
        {
            return Ok(value);
        }
        let value = Arc::new(make()?);
        self.0.lock().expect("no panic under this lock").insert(TypeId::of::<T>(), (number, value.clone()));
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::Derived;

    #[test]
    fn a_value_is_made_once_for_each_number_and_an_error_is_not_kept() {
        let derived = Derived::default();
        let text = |number, text: &str| *derived.get::<_, Infallible>(number, || Ok(text.len())).unwrap();
        assert_eq!((text(1, "a"), text(1, "not asked for"), text(2, "bcd")), (1, 1, 3));
        derived.get::<String, _>(1, || Err("no")).unwrap_err();
        assert_eq!(*derived.get::<_, Infallible>(1, || Ok("now".to_owned())).unwrap(), "now");
        assert_eq!(text(2, "of another type"), 3);
    }
}
