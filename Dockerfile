# stream-rec as an image: a wheel is built in one stage and installed in the next, which has no build tools.
#
#   docker build -t stream-rec .
#   docker run --rm stream-rec --help
#
# The service writes to three folders, and to no other: /var/lib/stream-rec/snapshots, /var/cache/stream-rec (compiled
# kernels) and /run/stream-rec (the status file). Mounted, they let the root be read-only.
#
# Not yet tested on a Docker engine; the commands below were run by hand on Debian, as the user they name here.

# The version that constraints.txt is made and tested with.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS wheel
WORKDIR /build
COPY constraints.txt .
RUN pip install --no-cache-dir --constraint constraints.txt build hatchling
COPY pyproject.toml README.md LICENSE ./
COPY stream_rec stream_rec
RUN python -m build --wheel --no-isolation --outdir /wheels .

FROM python:${PYTHON}-slim
# Kernels are compiled below, and for another kind of processor than the one that `docker build` runs on Numba would
# compile them again at the first start. `generic` is good for every processor of the architecture, and no slower that
# could be measured; --build-arg NUMBA_CPU_NAME= (empty) uses all that the processor of the build has.
ARG NUMBA_CPU_NAME=generic
ENV NUMBA_CPU_NAME=${NUMBA_CPU_NAME} \
    NUMBA_CACHE_DIR=/var/cache/stream-rec \
    PATH=/opt/stream-rec/bin:${PATH} \
    PYTHONUNBUFFERED=1

RUN groupadd --gid 10001 stream-rec \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/stream-rec --shell /usr/sbin/nologin stream-rec \
 && mkdir -p /var/lib/stream-rec/snapshots /var/cache/stream-rec /run/stream-rec \
 && chown -R stream-rec:stream-rec /var/lib/stream-rec /var/cache/stream-rec /run/stream-rec

COPY --from=wheel /wheels /wheels
COPY constraints.txt /wheels/
# confluent-kafka (librdkafka) comes along: the container's user cannot install it later.
RUN python -m venv /opt/stream-rec \
 && wheel="$(ls /wheels/*.whl)" \
 && pip install --no-cache-dir --constraint /wheels/constraints.txt "${wheel}[confluent,parquet,serve,tracing]" \
 && rm -r /wheels

# As the user of the service: Numba uses a folder of compiled kernels only if it may write to it. So with a read-only
# root file system, mount a volume at /var/cache/stream-rec (a new one is filled from the image), not a tmpfs. By number:
# Kubernetes can tell then that it is not root.
USER 10001:10001
WORKDIR /var/lib/stream-rec
RUN stream-rec warm-up

# A named volume mounted here takes over its owner.
VOLUME /var/lib/stream-rec/snapshots

# `stream-rec run` writes the file when it is told to; a first recovery may take minutes.
ENV STREAM_REC_STATUS_FILE=/run/stream-rec/status.json
HEALTHCHECK --interval=10s --timeout=5s --start-period=5m --retries=3 \
    CMD ["stream-rec", "status", "/run/stream-rec/status.json"]

ARG VERSION=0.2.0
LABEL org.opencontainers.image.title="stream-rec" \
      org.opencontainers.image.description="Live session-based recommendations from a click stream" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.vendor="The stream-rec authors"

ENTRYPOINT ["stream-rec"]
CMD ["--help"]
