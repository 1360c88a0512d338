# stream-rec as an image: a wheel is built in one stage and installed in the next, which has no build tools.
#
#   docker build -t stream-rec .
#   docker run --rm stream-rec --help
#
# The service writes to three folders, and to no other: /var/lib/stream-rec/snapshots, /var/cache/stream-rec (compiled
# kernels) and /run/stream-rec (the status file). Mounted, they let the root be read-only.
#
# It is for amd64 and arm64: everything that it installs has wheels for both. `docker buildx build --platform
# linux/amd64,linux/arm64 .` makes both; the kernels of the other one are then compiled by an emulator, in minutes.
#
# What is installed is known by its hashes (locks/). The base is not yet: a digest can be looked up only at its registry.
# To pin it, as CI does:
#
#   digest="$(docker buildx imagetools inspect python:3.11-slim --format '{{json .Manifest.Digest}}' | tr -d '"')"
#   docker build --build-arg "BASE=python:3.11-slim@$digest" -t stream-rec .
#
# Not yet tested on a Docker engine; the commands below were run by hand in a new Debian, as the user they name here.

# The version of Python that the locks are made and tested with.
ARG BASE=python:3.11-slim

FROM ${BASE} AS wheel
WORKDIR /build
COPY locks/build.txt .
RUN pip install --no-cache-dir --require-hashes --requirement build.txt
COPY pyproject.toml README.md LICENSE ./
COPY stream_rec stream_rec
RUN python -m build --wheel --no-isolation --outdir /wheels .

FROM ${BASE}
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

COPY locks/image.txt /wheels/
# The extras that a service may need come along: the container's user cannot install them later.
RUN python -m venv /opt/stream-rec \
 && pip install --no-cache-dir --require-hashes --requirement /wheels/image.txt
COPY --from=wheel /wheels/*.whl /wheels/
RUN pip install --no-cache-dir --no-deps --no-index /wheels/*.whl \
 && pip check \
 && rm -r /wheels

# As the user of the service: Numba uses a folder of compiled kernels only if it may write to it. So with a read-only
# root file system, mount a volume at /var/cache/stream-rec (a new one is filled from the image), not a tmpfs. By number:
# Kubernetes can tell then that it is not root.
USER 10001:10001
WORKDIR /var/lib/stream-rec
RUN stream-rec warm-up

# A named volume mounted here takes over its owner. Compiled kernels are in the image, so their folder is no volume of
# its own: name one for a read-only root (-v kernels:/var/cache/stream-rec).
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
      org.opencontainers.image.vendor="The stream-rec authors" \
      org.opencontainers.image.base.name="docker.io/library/python:3.11-slim"

ENTRYPOINT ["stream-rec"]
CMD ["--help"]
