# The daemon as an image: what the lock names, with bytecode, for an unprivileged number and a read-only root.
# What to mount where and how to run it: deploy/README.md.
#
# Each RUN is one program and no shell, so that a base without one would do.
# hadolint global ignore=DL3059
#
# A tag may be pushed again. To pin what it is today, write name:tag@sha256:... as `docker buildx imagetools inspect` tells.
ARG PYTHON_IMAGE=docker.io/library/python:3.13.14-slim-trixie

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# What builds packages is locked too; without isolation pip fetches nothing that is not.
COPY requirements/build.txt requirements/roles.txt requirements/
RUN ["python", "-m", "pip", "install", "--require-hashes", "-r", "requirements/build.txt"]
RUN ["python", "-m", "pip", "wheel", "--no-build-isolation", "--require-hashes", "--wheel-dir=/dist", "-r", "requirements/roles.txt"]
RUN ["python", "-m", "venv", "--without-pip", "/opt/aliyun-vod-exporter"]
# Exactly these wheels, by their names: those that were built here have other hashes than the lock.
RUN ["python", "-c", "import pathlib, subprocess, sys; sys.exit(subprocess.call([sys.executable, '-m', 'pip', '--python=/opt/aliyun-vod-exporter/bin/python', 'install', '--no-index', '--no-deps', '--compile', '--find-links=/dist', *('=='.join(wheel.name.split('-')[:2]) for wheel in pathlib.Path('/dist').iterdir())]))"]

# The program is a layer of its own: a new version of it has the dependencies of the old one.
FROM build AS program
COPY LICENSE README.md pyproject.toml ./
COPY exporter exporter
RUN ["python", "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--wheel-dir=/wheel", "."]
RUN ["python", "-m", "pip", "--python=/opt/aliyun-vod-exporter/bin/python", "install", "--no-index", "--no-deps", "--find-links=/wheel", "--prefix=/program", "--compile", "aliyun-vod-exporter"]

FROM build AS bill
COPY --from=program /program /opt/aliyun-vod-exporter
# What is in it, for scanners (CycloneDX): the same packages give the same bytes, with a time where this argument gives one.
WORKDIR /sbom
ARG SOURCE_DATE_EPOCH
RUN ["python", "-m", "cyclonedx_py", "environment", "--output-reproducible", "--output-file=sbom.cdx.json", "/opt/aliyun-vod-exporter/bin/python"]
# An empty directory for the final stage. WORKDIR would not do: podman build of Debian 12 makes none where it caches layers.
RUN ["python", "-c", "import os; os.mkdir('/data')"]

FROM ${PYTHON_IMAGE}
ARG PYTHON_IMAGE
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="aliyun-vod-exporter" \
      org.opencontainers.image.description="Prometheus exporter for the playback statistics of Alibaba Cloud ApsaraVideo VOD" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}"
# What --version says.
ENV PATH=/opt/aliyun-vod-exporter/bin:${PATH} \
    ALIYUN_VOD_EXPORTER_REVISION=${REVISION} \
    ALIYUN_VOD_EXPORTER_CREATED=${CREATED}
COPY --from=build /opt/aliyun-vod-exporter /opt/aliyun-vod-exporter
COPY --from=program /program /opt/aliyun-vod-exporter
COPY --from=bill /sbom /usr/share/doc/aliyun-vod-exporter
# The base comes without the standard library's bytecode, and a read-only root would compile it at every start and health
# check. Importing every module leaves what the program uses of it; one run shows that it starts.
RUN ["python", "-c", "import importlib, pkgutil, exporter; [importlib.import_module(module.name) for module in pkgutil.walk_packages(exporter.__path__, 'exporter.') if not module.name.endswith('__main__')]"]
RUN ["aliyun-vod-exporter", "--help"]
ENV PYTHONDONTWRITEBYTECODE=1
# Ours, so that a named volume mounted here is too: for --storage.path=/data/state.db.
COPY --from=bill --chown=65532:65532 /data /data
# A number: Kubernetes' runAsNonRoot cannot judge a name.
USER 65532:65532
# So that check-config and fetch find the mounted config.yaml by its default name.
WORKDIR /etc/aliyun-vod-exporter
EXPOSE 9985
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["aliyun-vod-exporter", "check-healthy"]
ENTRYPOINT ["aliyun-vod-exporter"]
CMD ["serve", "--config.file=/etc/aliyun-vod-exporter/config.yaml"]
