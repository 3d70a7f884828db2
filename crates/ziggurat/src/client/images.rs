//! Images that are made.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use tower_service::Service;
use ziggurat_core::{Error, LlmRequest, LlmResponse, Operation};

use super::{Answer, Client, Form, Reply, read_json, unreadable};

/// The images that were made.
#[derive(Clone, Debug)]
pub struct Images {
    images: Vec<Image>,
}

/// An image.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Image {
    /// Where it is, if it is somewhere.
    pub url: Option<String>,
    /// The image itself, if it came.
    pub data: Option<Bytes>,
    /// What the provider made of the prompt.
    pub revised_prompt: Option<String>,
}

impl Images {
    /// The images.
    #[must_use]
    pub fn images(&self) -> &[Image] {
        &self.images
    }
}

impl Reply for Images {
    const OPERATION: Operation = Operation::ImageGeneration;

    fn read(body: &Bytes, _: &HeaderMap) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Body {
            data: Vec<Made>,
        }
        #[derive(Deserialize)]
        struct Made {
            url: Option<String>,
            b64_json: Option<String>,
            revised_prompt: Option<String>,
        }
        let made = read_json::<Body>(body)?.data.into_iter();
        let images = made.map(|made| {
            let data = made.b64_json.map(|text| STANDARD.decode(text)).transpose();
            Ok(Image {
                url: made.url,
                data: data.map_err(|error| unreadable(&error))?.map(Bytes::from),
                revised_prompt: made.revised_prompt,
            })
        });
        Ok(Self {
            images: images.collect::<Result<_, Error>>()?,
        })
    }
}

impl<S> Client<S>
where
    S: Service<LlmRequest, Response = LlmResponse> + Clone,
    S::Error: Into<Error>,
{
    /// Asks for images.
    ///
    /// # Errors
    ///
    /// Those of [`ask`](Self::ask).
    pub async fn images(
        &self,
        request: &(impl Serialize + ?Sized),
    ) -> Result<Answer<Images>, Error> {
        self.ask(request).await
    }

    /// Asks for a changed image: the form has it as `image`, and a `prompt`.
    ///
    /// # Errors
    ///
    /// Those of [`send_as`](Self::send_as), and [`ErrorKind::BadRequest`] if the form is none.
    ///
    /// [`ErrorKind::BadRequest`]: ziggurat_core::ErrorKind::BadRequest
    pub async fn edit_image(&self, form: &Form) -> Result<Answer<Images>, Error> {
        self.send_as(form.to_request(Operation::ImageEdit)?).await
    }
}
