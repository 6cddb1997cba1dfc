"""Shopify: GraphQL for what is read and written, webhooks signed with the client secret."""
