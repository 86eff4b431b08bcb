import type { DescFile, DescService } from '@bufbuild/protobuf';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { nestedTypes } from '@bufbuild/protobuf/reflect';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import type { ConnectRouter } from '@connectrpc/connect';
import { Code } from '@connectrpc/connect';
import { reflection, reflectionAlpha } from '@d7y/api';

type Question = reflection.ServerReflectionRequest['messageRequest'];
type Answer = reflection.ServerReflectionResponse['messageResponse'];

/**
 * grpc.reflection.v1, and v1alpha for older tools: tells clients without a copy of the protocol what this listener offers. Adds itself to
 * the services that the router has by then. What it tells is public: the protocol, nothing of the state.
 */
export function registerReflection(router: ConnectRouter): void {
  const services = new Set<DescService>([reflection.ServerReflection, reflectionAlpha.ServerReflection]);
  for (const { service } of router.handlers) services.add(service);
  const known = new KnownFiles(services);
  router.service(reflection.ServerReflection, {
    async *serverReflectionInfo(requests) {
      for await (const request of requests) yield known.respond(request);
    },
  });
  router.service(reflectionAlpha.ServerReflection, {
    async *serverReflectionInfo(requests) {
      for await (const request of requests) yield toAlpha(known.respond(fromAlpha(request)));
    },
  });
}

// Both versions are the same on the wire.
const fromAlpha = (request: reflectionAlpha.ServerReflectionRequest): reflection.ServerReflectionRequest =>
  fromBinary(
    reflection.ServerReflectionRequestSchema,
    toBinary(reflectionAlpha.ServerReflectionRequestSchema, request),
  );
const toAlpha = (response: reflection.ServerReflectionResponse): reflectionAlpha.ServerReflectionResponse =>
  fromBinary(
    reflectionAlpha.ServerReflectionResponseSchema,
    toBinary(reflection.ServerReflectionResponseSchema, response),
  );

/** The files that declare services, and all that those import. */
class KnownFiles {
  readonly #services: readonly string[];
  readonly #byName = new Map<string, DescFile>();
  readonly #bySymbol = new Map<string, DescFile>();

  constructor(services: Iterable<DescService>) {
    const names: string[] = [];
    for (const { typeName, file } of services) {
      names.push(typeName);
      this.#add(file);
    }
    this.#services = names.toSorted();
  }

  respond(request: reflection.ServerReflectionRequest): reflection.ServerReflectionResponse {
    const messageResponse = this.#answer(request.messageRequest);
    const { host: validHost } = request;
    return create(reflection.ServerReflectionResponseSchema, { validHost, originalRequest: request, messageResponse });
  }

  #answer(question: Question): Answer {
    switch (question.case) {
      case 'listServices': {
        const service = this.#services.map((name) => create(reflection.ServiceResponseSchema, { name }));
        return { case: 'listServicesResponse', value: create(reflection.ListServiceResponseSchema, { service }) };
      }
      case 'fileByFilename':
        return fileAnswer(this.#byName.get(question.value), question.value);
      case 'fileContainingSymbol':
        return fileAnswer(this.#bySymbol.get(question.value), question.value);
      case 'allExtensionNumbersOfType': {
        const baseTypeName = question.value;
        if (!this.#bySymbol.has(baseTypeName)) return notFound(baseTypeName);
        const value = create(reflection.ExtensionNumberResponseSchema, { baseTypeName });
        return { case: 'allExtensionNumbersResponse', value };
      }
      case 'fileContainingExtension':
        return notFound(`an extension of ${question.value.containingType}`);
      case undefined:
        return errorAnswer(Code.InvalidArgument, 'no question');
      default:
        return question satisfies never;
    }
  }

  #add(file: DescFile): void {
    const name = file.proto.name;
    if (this.#byName.has(name)) return;
    this.#byName.set(name, file);
    for (const type of nestedTypes(file)) this.#bySymbol.set(type.typeName, file);
    for (const { typeName, methods } of file.services)
      for (const method of methods) this.#bySymbol.set(`${typeName}.${method.name}`, file);
    for (const imported of file.dependencies) this.#add(imported);
  }
}

function fileAnswer(file: DescFile | undefined, asked: string): Answer {
  if (file === undefined) return notFound(asked);
  const files = new Set<DescFile>([file]);
  // What is added while it is gone through comes to its turn.
  for (const each of files) for (const imported of each.dependencies) files.add(imported);
  const fileDescriptorProto = [...files].map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto));
  const value = create(reflection.FileDescriptorResponseSchema, { fileDescriptorProto });
  return { case: 'fileDescriptorResponse', value };
}

const notFound = (what: string): Answer => errorAnswer(Code.NotFound, `${what} is not known here`);

const errorAnswer = (errorCode: Code, errorMessage: string): Answer => ({
  case: 'errorResponse',
  value: create(reflection.ErrorResponseSchema, { errorCode, errorMessage }),
});
