# syntax=docker/dockerfile:1
# The daemon and what it needs, and nothing that could change it: `docker build -t subscriber .`
# Every package comes from a lock with hashes. What runs has no pip of its own, no shell in front of it, nothing to write.

ARG PYTHON_VERSION=3.11.14

FROM python:${PYTHON_VERSION}-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN python -m venv build-tools \
 && build-tools/bin/python -m pip install --require-hashes --only-binary :all: -r requirements/build.txt \
 && python -m venv --without-pip /opt/subscriber \
 && python -m pip --python /opt/subscriber/bin/python install --require-hashes --only-binary :all: --no-compile -r requirements/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY subscriber/ subscriber/
# Byte code is made here, since nothing can be written later; "unchecked", since nothing can change it either.
RUN build-tools/bin/hatchling build --target wheel \
 && python -m pip --python /opt/subscriber/bin/python install --no-index --no-deps --no-compile dist/*.whl \
 && /opt/subscriber/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/subscriber/lib
# The authorities that sign the certificates of RDS and Aurora in all commercial regions. They are added to now and then:
# an image built anew has them. GovCloud and China have bundles of their own (RDS User Guide, "Using SSL/TLS to encrypt a
# connection"): name theirs here.
ADD https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem /opt/rds-global-bundle.pem

FROM python:${PYTHON_VERSION}-slim-bookworm
LABEL org.opencontainers.image.title="subscriber" \
      org.opencontainers.image.description="S3 event notifications from SQS into an object index in PostgreSQL" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build --chmod=0444 /opt/rds-global-bundle.pem /etc/ssl/certs/rds-global-bundle.pem
COPY --from=build /opt/subscriber /opt/subscriber
ENV PATH=/opt/subscriber/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONFAULTHANDLER=1
USER 10001:10001
WORKDIR /
EXPOSE 8080
STOPSIGNAL SIGTERM
# ECS takes the check of its task definition instead; this one is for everybody else.
HEALTHCHECK --interval=15s --timeout=5s --retries=4 --start-period=60s \
  CMD ["python", "-Sc", "import http.client as h; from os import environ as e; c = h.HTTPConnection(e.get('SUBSCRIBER_HTTP_HOST') or '127.0.0.1', int(e.get('SUBSCRIBER_HTTP_PORT') or 8080), timeout=4); c.request('GET', '/livez'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["subscriber"]
CMD ["run"]
