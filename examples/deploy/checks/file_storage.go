// A stand-in for the extension file_storage of the contrib distribution, which is not available as a package: the same settings,
// and the same database. The queue that it stores is that of the collector.
package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"go.etcd.io/bbolt"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/xextension/storage"
)

type fileStorage struct {
	Directory       string         `mapstructure:"directory"`
	CreateDirectory bool           `mapstructure:"create_directory"`
	Compaction      map[string]any `mapstructure:"compaction"`
}

func newFileStorage() extension.Factory {
	return extension.NewFactory(component.MustNewType("file_storage"),
		func() component.Config { return &fileStorage{} },
		func(_ context.Context, _ extension.Settings, config component.Config) (extension.Extension, error) {
			return config.(*fileStorage), nil
		}, component.StabilityLevelDevelopment)
}

func (own *fileStorage) Start(context.Context, component.Host) error {
	if own.CreateDirectory {
		return os.MkdirAll(own.Directory, 0o750)
	}
	return nil
}

func (*fileStorage) Shutdown(context.Context) error { return nil }

func (own *fileStorage) GetClient(_ context.Context, _ component.Kind, id component.ID, name string) (storage.Client, error) {
	file := strings.ReplaceAll(id.String()+"_"+name, "/", "_")
	database, err := bbolt.Open(filepath.Join(own.Directory, file), 0o600, nil)
	if err != nil {
		return nil, err
	}
	return &fileClient{database}, database.Update(func(change *bbolt.Tx) error {
		_, err := change.CreateBucketIfNotExists(bucket)
		return err
	})
}

var bucket = []byte("default")

type fileClient struct{ database *bbolt.DB }

func (own *fileClient) Get(ctx context.Context, key string) ([]byte, error) {
	get := storage.GetOperation(key)
	err := own.Batch(ctx, get)
	return get.Value, err
}

func (own *fileClient) Set(ctx context.Context, key string, value []byte) error {
	return own.Batch(ctx, storage.SetOperation(key, value))
}

func (own *fileClient) Delete(ctx context.Context, key string) error {
	return own.Batch(ctx, storage.DeleteOperation(key))
}

func (own *fileClient) Batch(_ context.Context, operations ...*storage.Operation) error {
	return own.database.Update(func(change *bbolt.Tx) error {
		values := change.Bucket(bucket)
		for _, each := range operations {
			var err error
			switch each.Type {
			case storage.Get:
				// The memory of the database is not valid after the transaction.
				if value := values.Get([]byte(each.Key)); value != nil {
					each.Value = append([]byte{}, value...)
				}
			case storage.Set:
				err = values.Put([]byte(each.Key), each.Value)
			case storage.Delete:
				err = values.Delete([]byte(each.Key))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (own *fileClient) Close(context.Context) error { return own.database.Close() }
