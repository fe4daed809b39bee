"""The five stages receive, decode, batch, write and acknowledge, and the pipeline that connects them."""
