"""What the outside may rely on: AsyncAPI, OpenAPI, the documents, known failures of others."""
