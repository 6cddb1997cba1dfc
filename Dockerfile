# 枢纽 Shuniu. Built with network access, run without: everything comes from the hash-pinned locks.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
# A mirror, where one is needed: --build-arg PIP_INDEX_URL=… (used here only, not kept in the image).
ARG PIP_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /build
COPY locks/bootstrap.txt locks/runtime.txt ./
RUN python -m venv /opt/uv \
    && /opt/uv/bin/pip install --no-cache-dir --require-hashes -r bootstrap.txt \
    && python -m venv --without-pip /opt/shuniu/venv \
    && UV_DEFAULT_INDEX="${PIP_INDEX_URL}" /opt/uv/bin/uv pip sync --no-cache --require-hashes \
       --python /opt/shuniu/venv/bin/python runtime.txt
COPY gateway /opt/shuniu/app/gateway
COPY webhooks /opt/shuniu/app/webhooks
COPY retry_queue /opt/shuniu/app/retry_queue
COPY connectors /opt/shuniu/app/connectors
COPY mappings /opt/shuniu/app/mappings
COPY LICENSE NOTICE /opt/shuniu/
RUN printf '#!/bin/sh\nexec /opt/shuniu/venv/bin/python -P -m gateway.cli "$@"\n' > /opt/shuniu/venv/bin/shuniu \
    && chmod 755 /opt/shuniu/venv/bin/shuniu \
    && /opt/shuniu/venv/bin/python -m compileall -q /opt/shuniu/app

FROM ${PYTHON_IMAGE}
ENV PATH=/opt/shuniu/venv/bin:$PATH \
    PYTHONPATH=/opt/shuniu/app \
    PYTHONDONTWRITEBYTECODE=1 \
    SHUNIU_DATA_DIR=/var/lib/shuniu
RUN groupadd --gid 10001 shuniu \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/shuniu --shell /usr/sbin/nologin shuniu \
    && install -d -o 10001 -g 10001 -m 700 /var/lib/shuniu
COPY --from=build /opt/shuniu /opt/shuniu
WORKDIR /var/lib/shuniu
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["shuniu"]
CMD ["serve"]
