//! What models can do, and what requests ask of them.

use std::fmt;

macro_rules! capabilities {
    ($($(#[$doc:meta])+ $name:ident = $text:literal,)+) => {
        /// Something that a model may or may not be able to do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Capability {
            $($(#[$doc])+ $name,)+
        }

        impl Capability {
            /// Every capability.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its name in snake case, as configurations write it after `supports_`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

capabilities! {
    /// Calls functions that the request declares.
    Tools = "function_calling",
    /// Calls several functions in one answer.
    ParallelTools = "parallel_function_calling",
    /// Lets the request choose the function.
    ToolChoice = "tool_choice",
    /// Reads images.
    Vision = "vision",
    /// Hears audio.
    AudioInput = "audio_input",
    /// Speaks.
    AudioOutput = "audio_output",
    /// Reads PDF files.
    Pdf = "pdf_input",
    /// Reads videos.
    Video = "video_input",
    /// Answers by a JSON schema.
    JsonSchema = "response_schema",
    /// Thinks before it answers, as much as the request says.
    Reasoning = "reasoning",
    /// Searches the web.
    WebSearch = "web_search",
    /// Caches the beginning of prompts.
    PromptCaching = "prompt_caching",
    /// Takes system messages.
    SystemMessages = "system_messages",
    /// Goes on where the last message of the assistant ends.
    AssistantPrefill = "assistant_prefill",
    /// Uses a computer by screenshots and clicks.
    ComputerUse = "computer_use",
    /// Go on with an answer that broke off, when it is told to.
    Continuation = "continuation",
}

impl Capability {
    /// The capability of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|it| it.as_str() == name)
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of capabilities: those that a request asks for.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct CapabilitySet(u32);

impl CapabilitySet {
    /// The set with one more.
    #[must_use]
    pub const fn with(self, capability: Capability) -> Self {
        Self(self.0 | 1 << capability as u32)
    }

    /// The set without the members of another.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// What is in one of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether it holds a capability.
    #[must_use]
    pub const fn contains(self, capability: Capability) -> bool {
        self.0 >> capability as u32 & 1 == 1
    }

    /// Whether it holds none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Its members.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        let all = Capability::ALL.iter().copied();
        all.filter(move |capability| self.contains(*capability))
    }
}

impl FromIterator<Capability> for CapabilitySet {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        capabilities.into_iter().fold(Self::default(), Self::with)
    }
}

impl fmt::Debug for CapabilitySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// Whether a model has a capability, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Support {
    /// It has it.
    Yes,
    /// It has it not.
    No,
    /// A list of what the model can do does not name it.
    Unlisted,
    /// Nothing is known of the model.
    Unknown,
}

/// What is known of the capabilities of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Capabilities {
    yes: CapabilitySet,
    no: CapabilitySet,
    listed: bool,
}

impl Capabilities {
    /// What a list says of a model: it has these, and those that are not named are
    /// [`Support::Unlisted`].
    #[must_use]
    pub const fn listed(yes: CapabilitySet, no: CapabilitySet) -> Self {
        Self {
            yes: yes.without(no),
            no,
            listed: true,
        }
    }

    /// Says of one capability whether the model has it.
    #[must_use]
    pub const fn with(mut self, capability: Capability, has: bool) -> Self {
        let one = CapabilitySet(0).with(capability);
        if has {
            self.yes = self.yes.with(capability);
            self.no = self.no.without(one);
        } else {
            self.no = self.no.with(capability);
            self.yes = self.yes.without(one);
        }
        self
    }

    /// Whether the model has a capability.
    #[must_use]
    pub const fn get(self, capability: Capability) -> Support {
        if self.yes.contains(capability) {
            Support::Yes
        } else if self.no.contains(capability) {
            Support::No
        } else if self.listed {
            Support::Unlisted
        } else {
            Support::Unknown
        }
    }

    /// Those it is known to have.
    #[must_use]
    pub const fn yes(self) -> CapabilitySet {
        self.yes
    }

    /// Those it is known not to have.
    #[must_use]
    pub const fn no(self) -> CapabilitySet {
        self.no
    }

    /// Whether a list of what it can do is known.
    #[must_use]
    pub const fn is_listed(self) -> bool {
        self.listed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_last_counts() {
        let listed = CapabilitySet::default().with(Capability::Vision);
        let known = Capabilities::listed(listed, CapabilitySet::default())
            .with(Capability::Vision, false)
            .with(Capability::Tools, true);
        assert_eq!(known.get(Capability::Vision), Support::No);
        assert_eq!(known.get(Capability::Tools), Support::Yes);
        assert_eq!(known.get(Capability::Pdf), Support::Unlisted);
        let unknown = Capabilities::default();
        assert_eq!(unknown.get(Capability::Pdf), Support::Unknown);
    }

    #[test]
    fn names_lead_back_to_their_capabilities() {
        for capability in Capability::ALL {
            assert_eq!(Capability::parse(capability.as_str()), Some(*capability));
        }
        assert!(Capability::ALL.len() <= 32, "each has a bit");
    }
}
