# The image holds two static programs and nothing else that could be run: no shell, no package manager.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY node node
ARG TARGETOS TARGETARCH VERSION=dev
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath \
      -ldflags "-s -w -X main.version=$VERSION" -o /out/ ./node/cmd/raftnode ./node/cmd/raftctl
# A volume that is mounted on /data for the first time takes over the owner of this directory.
RUN mkdir /data

# Its user 65532 is the one below; it has /tmp, time zones and CA certificates, which scratch lacks.
FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/ /
COPY --from=build --chown=65532:65532 /data /data
USER 65532:65532
VOLUME /data
EXPOSE 8080 7080
ENTRYPOINT ["/raftnode"]
CMD ["local", "--nodes", "5", "--data-dir", "/data", "--listen", "0.0.0.0:8080"]
