//! All built-in filters in one.

use std::{fmt, sync::Arc};

use ziggurat_core::LlmRequest;

use super::{
    AccessFilter, AnyPathFilter, CapabilityFilter, ContextWindowFilter, FieldFilter, Filter,
    Members, ModeFilter, RegionFilter, TagFilter,
};

/// The built-in filters, each of which may be off, and those of the application, as one type.
///
/// [Access](AccessFilter) is always looked at, and so is who can go on with a broken answer
/// ([`CapabilityFilter`]) and who takes any path ([`AnyPathFilter`]). The others are off unless turned on, so that a
/// configuration can say. They are asked in this order: access (team, labels, access windows,
/// blocked), tags, region, capabilities, mode, fields, context window, those of the application. So
/// of several things that speak against a deployment the one that a client can do the least about is
/// named, and what is refused for its size alone is told so.
///
/// ```
/// use ziggurat_core::{Deployment, LlmRequest};
/// use ziggurat_load_balance::{ContextWindowFilter, Filters, TagFilter};
///
/// let filters = Filters::new()
///     .tags(Some(TagFilter::match_any()))
///     .capabilities(true)
///     .context_window(Some(ContextWindowFilter::new()))
///     .own(|request: &LlmRequest, deployment: &Deployment| {
///         request.user().is_some() || deployment.tags().is_empty()
///     });
/// # let _ = filters;
/// ```
#[derive(Clone, Default)]
pub struct Filters {
    access: AccessFilter,
    tags: Option<TagFilter>,
    region: Option<RegionFilter>,
    capabilities: Option<CapabilityFilter>,
    mode: Option<ModeFilter>,
    fields: Option<FieldFilter>,
    window: Option<ContextWindowFilter>,
    own: Vec<Arc<dyn Filter<LlmRequest>>>,
}

impl Filters {
    /// Access alone.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the filter by access, to give it another clock.
    #[must_use]
    pub fn access(mut self, filter: AccessFilter) -> Self {
        self.access = filter;
        self
    }

    /// Sets the filter by tags.
    #[must_use]
    pub fn tags(mut self, filter: Option<TagFilter>) -> Self {
        self.tags = filter;
        self
    }

    /// Turns the filter by region on or off.
    #[must_use]
    pub fn region(mut self, on: bool) -> Self {
        self.region = on.then_some(RegionFilter);
        self
    }

    /// Turns the filter by capabilities on or off.
    #[must_use]
    pub fn capabilities(mut self, on: bool) -> Self {
        self.capabilities = on.then_some(CapabilityFilter);
        self
    }

    /// Turns the filter by what models are for on or off.
    #[must_use]
    pub fn mode(mut self, on: bool) -> Self {
        self.mode = on.then_some(ModeFilter);
        self
    }

    /// Turns the filter by fields on or off.
    #[must_use]
    pub fn fields(mut self, on: bool) -> Self {
        self.fields = on.then_some(FieldFilter);
        self
    }

    /// Sets the filter by context window.
    #[must_use]
    pub fn context_window(mut self, filter: Option<ContextWindowFilter>) -> Self {
        self.window = filter;
        self
    }

    /// Adds a filter of the application. It is asked after the built-in ones, in the order of these
    /// calls; for a request that names its deployment by id too.
    #[must_use]
    pub fn own(mut self, filter: impl Filter<LlmRequest>) -> Self {
        self.own.push(Arc::new(filter));
        self
    }
}

impl Filter<LlmRequest> for Filters {
    fn filter(&self, request: &LlmRequest, members: &mut Members<'_>) {
        let needs = request.needs();
        Filter::filter(&self.access, request, members);
        AnyPathFilter.filter(request, members);
        Filter::filter(&self.tags, request, members);
        Filter::filter(&self.region, request, members);
        CapabilityFilter::sure(needs, members);
        if self.capabilities.is_some() {
            CapabilityFilter::able(needs, members);
        }
        Filter::filter(&self.mode, request, members);
        Filter::filter(&self.fields, request, members);
        Filter::filter(&self.window, request, members);
        Filter::filter(&self.own, request, members);
        // A preference among those that fit, so it comes last.
        if self.capabilities.is_some() {
            CapabilityFilter::known(needs, members);
        }
    }
}

impl fmt::Debug for Filters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filters")
            .field("tags", &self.tags)
            .field("region", &self.region.is_some())
            .field("capabilities", &self.capabilities.is_some())
            .field("mode", &self.mode.is_some())
            .field("fields", &self.fields.is_some())
            .field("window", &self.window)
            .field("own", &self.own.len())
            .finish_non_exhaustive()
    }
}
